"""Confirmation: at the end of a run, stopped trials that look like finalists are scored on all samples."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...errors import TrialError
from ...search.pareto import front
from ...spaces.table import FloatArray
from ..record import TrialRecord
from .stopping import paired_estimates
from .track import Track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Confirmed:
    """The scores of a stopped trial on all samples of the search, in place of its estimates.

    Attributes:
        values: one per objective.
        errors: their standard errors.
        violations: by how much each floor is missed (positive) or met.
        key: of the scores behind them.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    violations: tuple[float, ...]
    key: str

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Confirmed:
        """Decode what `vars` and JSON made of it."""
        lists = {name: tuple(content[name]) for name in ("values", "errors", "violations")}
        return cls(**lists, key=content["key"])


def with_confirmed(records: Sequence[TrialRecord], confirmed: Mapping[int, Confirmed]) -> list[TrialRecord]:
    """The records, with all scores of those that were confirmed."""
    return [
        replace(record, **vars(confirmed[record.number]), visited=1.0) if record.number in confirmed else record
        for record in records
    ]


@dataclass(frozen=True)
class Confirmation:
    """What goes on once the search has ended: with trials that the front would not dominate if their estimates hold.

    Attributes:
        track: that they were stopped on.
        scale: what turns the objectives' values into losses, `losses x objectives`; one row makes one mean of them.
        margin: by how much an estimate must be beyond the front, in standard errors of a full score.
        in_full: scores a trial on all samples.
    """

    track: Track
    scale: FloatArray
    margin: float
    in_full: Callable[[TrialRecord], Confirmed]

    def confirm(self, records: Sequence[TrialRecord], progress: Callable[[int], None]) -> dict[int, Confirmed]:
        """Score them on, look by look, the most promising one first; each that comes to its end speaks for the front.

        Args:
            records: all finished trials.
            progress: called with the number of trials that came to the end so far.

        Returns:
            Trial number -> its scores, of those that came to the end.

        Raises:
            InputError: the evaluators found the configuration wrong, or the scores cannot be saved.
        """
        found: dict[int, Confirmed] = {}
        whole = [record for record in records if record.whole]
        waiting = {record.number: (record, self.track.left(record)) for record in records if _may_win(record)}
        losses: dict[int, FloatArray] = {}
        for record, left in waiting.values():
            with _left_alone(record):
                losses[record.number] = self._losses(record, left, whole)
        while (number := _finalist(losses, whole, self.scale, self.margin)) is not None:
            record, left = waiting[number]
            del losses[number]
            with _left_alone(record):
                if left > 1:
                    waiting[number] = record, left - 1
                    losses[number] = self._losses(record, left - 1, whole)
                else:
                    found[number] = self.in_full(record)
                    whole += with_confirmed([record], found)
            progress(len(found))
        return found

    def _losses(self, record: TrialRecord, left: int, whole: Sequence[TrialRecord]) -> FloatArray:
        """What a look tells of a trial's losses on all samples."""
        scores = self.track.scores(record.proposal, left)
        if len(self.scale) == 1:
            estimates = self.track.estimates(scores, left)
        else:
            estimates = paired_estimates(self.track, record.proposal, scores, left, whole)
        return np.asarray(self.scale @ [one.value for one in estimates], dtype=np.float64)


@contextlib.contextmanager
def _left_alone(record: TrialRecord) -> Iterator[None]:
    """Say so where a trial cannot be scored on; it stays what it was."""
    try:
        yield
    except TrialError as error:
        log.warning("trial %d was stopped early and cannot be scored in full: %s", record.number, error)


def _finalist(
    losses: Mapping[int, FloatArray], whole: Sequence[TrialRecord], scale: FloatArray, margin: float
) -> int | None:
    """The trial whose estimated losses are furthest beyond the front; None where none is beyond it."""
    if not losses or not whole:
        return None
    theirs = np.array([record.values for record in whole]) @ scale.T
    errors = np.array([record.errors for record in whole]) @ np.abs(scale).T
    bar = theirs[front(theirs)] - margin * errors.mean(axis=0)
    # By how much each incumbent is worse, in the objective that tells most; the least of these is what is gained.
    gains = {number: float((bar - ours).max(axis=1).min()) for number, ours in losses.items()}
    best = max(gains, key=lambda number: (gains[number], -number))
    return best if gains[best] > 0 else None


def _may_win(record: TrialRecord) -> bool:
    """Whether it was stopped early, and may keep its floors."""
    return record.complete and not record.whole and all(violation <= 0 for violation in record.violations)
