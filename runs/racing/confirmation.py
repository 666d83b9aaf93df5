"""Confirmation: at the end of a run, stopped trials that the front may gain by are scored on all samples."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import TrialError
from ...evaluators.estimators.estimator import Estimate
from ...evaluators.racing.estimated_gain import EstimatedGain
from ...evaluators.racing.hypervolume_gain import HypervolumeGain
from ...spaces.table import FloatArray
from ..record import TrialRecord
from .against_front import front_of, losses_of
from .confirmed import Confirmed, with_confirmed
from .standings import Standings, known
from .track import Track, nearest

log = logging.getLogger(__name__)

_BEYOND = 2.0  # standard errors of a full score: how much worse than all of the front a trial may be in an objective


@dataclass(frozen=True)
class Confirmation:
    """What goes on once the search has ended: with the stopped trials that the front is expected to gain most by.

    Attributes:
        track: that they were stopped on.
        scale: what turns the objectives' values into losses, `losses x objectives`; one row makes one mean of them.
        least: share of the front's hypervolume that a trial must be expected to add, with several losses; with one,
            by how much its estimate must be below the least loss known in full.
        score: scores a trial as far as a look that so many others follow, with its estimates there; 0 is in full.
        may_win: whether a stopped trial may keep its floors.
    """

    track: Track
    scale: FloatArray
    least: float
    score: Callable[[TrialRecord, Sequence[Estimate], int], Confirmed]
    may_win: Callable[[TrialRecord], bool]

    def confirm(self, records: Sequence[TrialRecord], progress: Callable[[int], None]) -> dict[int, Confirmed]:
        """Score them on, look by look, the most promising one first; each that comes to its end joins the front.

        Args:
            records: all finished trials.
            progress: called with the number of trials that came to the end so far.

        Returns:
            Trial number -> its scores, of those that were scored on, whether or not they came to the end.

        Raises:
            InputError: the scores cannot be saved.
        """
        whole = [record for record in records if record.whole]
        stopped = [record for record in records if record.complete and not record.whole]
        waiting = {record.number: record for record in stopped if self.may_win(record)}
        standings = self._standings(whole, waiting)
        gains = self._gains(whole, standings.of(waiting))
        found: dict[int, Confirmed] = {}
        while (number := self._next(gains)) is not None:
            further: list[Estimate] = []
            with _left_alone(waiting[number]):
                further, found[number] = self._scored_on(waiting[number], whole)
                (waiting[number],) = with_confirmed([waiting[number]], found)
            if further and self.may_win(waiting[number]):
                standings.measure(number, losses_of(self.scale, further))
                gains.update(number, standings.of([number])[number])
                continue
            gains.drop(number)
            ended = waiting.pop(number)
            if ended.whole:
                whole.append(ended)
                losses = self.scale @ np.array(ended.values)
                standings.measure(number, known(losses))
                if ended.keeps_floors:
                    gains.confirm(losses)
                for other, estimates in standings.of(waiting).items():
                    gains.update(other, estimates)
            progress(sum(one.visited == 1 for one in found.values()))
        return found

    def _scored_on(self, record: TrialRecord, whole: Sequence[TrialRecord]) -> tuple[list[Estimate], Confirmed]:
        """What the next look tells of a trial, nothing where it is the last one; and what is known of it by then."""
        left = self.track.left(record) - 1
        estimates = self._estimates(record, left, whole) if left else []
        return estimates, self.score(record, estimates, left)

    def _standings(self, whole: Sequence[TrialRecord], waiting: dict[int, TrialRecord]) -> Standings:
        """Of the losses of all trials; whoever cannot be estimated does not wait any longer."""
        measured = {record.number: known(self.scale @ np.array(record.values)) for record in whole}
        for number, record in list(waiting.items()):
            del waiting[number]
            with _left_alone(record):
                estimates = self._estimates(record, self.track.left(record), whole)
                measured[number], waiting[number] = losses_of(self.scale, estimates), record
        return Standings({record.number: record.proposal for record in (*whole, *waiting.values())}, measured)

    def _gains(
        self, whole: Sequence[TrialRecord], candidates: Mapping[int, Sequence[Estimate]]
    ) -> HypervolumeGain | EstimatedGain:
        """Who is expected to gain how much over the front of those that keep the floors."""
        incumbents = front_of(whole, self.scale)
        if len(self.scale) == 1:
            return EstimatedGain(incumbents, candidates)
        errors = np.array([record.errors for record in whole]) @ np.abs(self.scale).T
        return HypervolumeGain(incumbents, incumbents.max(axis=0) + _BEYOND * errors.mean(axis=0), candidates)

    def _next(self, gains: HypervolumeGain | EstimatedGain) -> int | None:
        """Who is worth another look; None where nobody is."""
        best = gains.best()
        return None if best is None or best[1] <= self.least else best[0]

    def _estimates(self, record: TrialRecord, left: int, whole: Sequence[TrialRecord]) -> list[Estimate]:
        """What a look tells of each objective on all samples."""
        scores = self.track.scores(record.proposal, left)
        return self.track.estimates(scores, nearest(self.track, record.proposal, whole), left)


@contextlib.contextmanager
def _left_alone(record: TrialRecord) -> Iterator[None]:
    """Say so where a trial cannot be scored on; it stays what it was."""
    try:
        yield
    except TrialError as error:
        log.warning("trial %d was stopped early and cannot be scored in full: %s", record.number, error)
