"""Racing against the front: a candidate stops once it surely gains nothing that is worth its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.racing.dominance import dominated_by
from ...evaluators.racing.looks import critical_value
from ...search.pareto import front
from ...spaces.table import FloatArray
from ..record import Proposal, TrialRecord
from .track import EachScores, Track, nearest


@dataclass(frozen=True)
class AgainstFront:
    """Racing: a candidate stops once an incumbent of the front dominates it, with confidence.

    Only trials that keep the floors speak for the front: no other can be chosen. A candidate is paired with the trials
    whose coefficients are nearest to its own, which get the same samples right.

    Attributes:
        track: of the race.
        scale: what turns the objectives' values into losses, `objectives x objectives`.
        false_stops: probability of stopping a candidate that is beyond the front by the margin.
        margin: in standard errors of a full score.
        records: finished trials.
        proposal: the candidate.
    """

    track: Track
    scale: FloatArray
    false_stops: float
    margin: float
    records: Sequence[TrialRecord]
    proposal: Proposal

    def estimates(self, scores: EachScores, left: int) -> list[Estimate]:
        """What the candidate's full scores come to, as far as a look tells."""
        return self.track.estimates(scores, self._incumbents, left)

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether the candidate, with these scores, stops at a look that `left` others would follow."""
        if not len(self._front):
            return False
        critical = critical_value(self.false_stops, self.track.sizes, len(self.scale))
        losses = losses_of(self.scale, self.estimates(scores, left))
        return dominated_by(losses, self._front, critical, self._margins) is not None

    # What is the same at all looks is found out at the first one.

    @cached_property
    def _whole(self) -> list[TrialRecord]:
        return [record for record in self.records if record.whole]

    @cached_property
    def _incumbents(self) -> list[EachScores]:
        return nearest(self.track, self.proposal, self._whole)

    @cached_property
    def _front(self) -> FloatArray:
        return front_of(self._whole, self.scale)

    @cached_property
    def _margins(self) -> FloatArray:
        errors = np.sqrt(np.array([record.errors for record in self._whole]) ** 2 @ self.scale.T**2)
        return np.asarray(self.margin * errors.mean(axis=0), dtype=np.float64)


def front_of(records: Sequence[TrialRecord], scale: FloatArray) -> FloatArray:
    """Losses, `incumbents x losses`, of those trials that keep the floors and that no other one of these dominates."""
    kept = [record.values or () for record in records if record.keeps_floors]
    losses = np.array(kept, dtype=np.float64).reshape(len(kept), scale.shape[1]) @ scale.T
    return losses[front(losses)] if kept else losses


def losses_of(scale: FloatArray, estimates: Sequence[Estimate]) -> list[Estimate]:
    """Estimates of the losses, `losses x objectives` times those of the objectives, whose errors are independent."""
    values = scale @ [one.value for one in estimates]
    errors = np.sqrt(scale**2 @ [one.error**2 for one in estimates])
    return [Estimate(float(value), float(error)) for value, error in zip(values, errors, strict=True)]
