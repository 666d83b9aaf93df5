"""Standings: what is known of all trials of a race, each once those of similar coefficients have been heard."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.racing.smoothing import Smoothing
from ..record import Proposal, TrialRecord
from .track import Track

_HEARD = 128  # trials that a candidate's estimates are smoothed by; those of the nearest coefficients


class Standings:
    """Estimates of all trials, smoothed over their coefficients; one number alone, such as a mean, is left as it is.

    Args:
        proposals: trial number -> what was evaluated.
        measured: trial number -> estimates of its own scores or losses, without errors where they are known in full.
    """

    def __init__(self, proposals: Mapping[int, Proposal], measured: Mapping[int, Sequence[Estimate]]) -> None:
        self._rows = {number: row for row, number in enumerate(measured)}
        self._values = np.array([[one.value for one in each] for each in measured.values()])
        self._errors = np.array([[one.error for one in each] for each in measured.values()])
        places = np.array([proposals[number].table.members.ravel() for number in measured])
        columns = zip(self._values.T, self._errors.T, strict=True)
        several = self._values.shape[1] > 1
        self._processes = [Smoothing(places, values, errors) for values, errors in columns] if several else []

    def measure(self, number: int, estimates: Sequence[Estimate]) -> None:
        """Take new estimates of a trial."""
        self._values[self._rows[number]] = [one.value for one in estimates]
        self._errors[self._rows[number]] = [one.error for one in estimates]

    def of(self, numbers: Iterable[int]) -> dict[int, list[Estimate]]:
        """Trial number -> its smoothed estimates."""
        values, errors = self._values.copy(), self._errors.copy()
        for column, process in enumerate(self._processes):
            values[:, column], errors[:, column] = process.estimates(self._values[:, column], self._errors[:, column])
        rows = {number: zip(values[self._rows[number]], errors[self._rows[number]], strict=True) for number in numbers}
        return {number: [Estimate(float(value), float(error)) for value, error in row] for number, row in rows.items()}


def settled(
    track: Track, proposal: Proposal, estimates: Sequence[Estimate], records: Sequence[TrialRecord]
) -> list[Estimate]:
    """The estimates of a candidate that stops, smoothed by what was measured of the finished trials nearest to it."""
    ours, scored = proposal.table.members, [record for record in records if record.complete]
    away = [float(((record.proposal.table.members - ours) ** 2).sum()) for record in scored]
    heard = [scored[row] for row in sorted(np.argsort(away, kind="stable")[:_HEARD])]
    number = len(records)
    measured = {record.number: _measured(track, record, records) for record in heard}
    proposals = {record.number: record.proposal for record in heard}
    standings = Standings({**proposals, number: proposal}, {**measured, number: estimates})
    return standings.of([number])[number]


def _measured(track: Track, record: TrialRecord, records: Sequence[TrialRecord]) -> Sequence[Estimate]:
    """What was measured of a finished trial when it ended, beside the trials that were whole by then."""
    if record.whole:
        return known(record.values or ())
    return track.looked_at(record, track.left(record), records)


def known(values: Iterable[float]) -> list[Estimate]:
    """Scores or losses on all samples, as estimates without errors."""
    return [Estimate(float(value), 0.0) for value in values]
