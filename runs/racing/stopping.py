"""When a candidate stops: dominated by the front for sure, or, with one objective, behind the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.racing.dominance import dominated_by
from ...evaluators.racing.halving import falls_behind
from ...evaluators.racing.looks import critical_value
from ...search.pareto import front
from ...spaces.table import FloatArray
from ..config import RacingConfig
from ..objectives import Objectives
from ..record import TrialRecord
from ..shortlist import mean_loss
from .track import EachScores, Track


@dataclass(frozen=True)
class AgainstFront:
    """Racing: a candidate stops once an incumbent of the front dominates it, with confidence.

    Attributes:
        track: of the race.
        objectives: the run's.
        options: the probability of a false stop, and the margin.
        records: finished trials.
    """

    track: Track
    objectives: Objectives
    options: RacingConfig
    records: Sequence[TrialRecord]

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether a candidate with these scores stops at a look that `left` others would follow."""
        signs = self.objectives.signs
        whole = [record for record in self.records if record.whole]
        if not whole:
            return False
        losses = np.array([record.values for record in whole]) * signs
        on_front = front(losses)
        incumbents = [record for record, kept in zip(whole, on_front, strict=True) if kept]
        paired = self.track.paired(scores, [self.track.recorded(one) for one in incumbents], left)
        estimates = [Estimate(sign * one.value, one.error) for sign, one in zip(signs, paired, strict=True)]
        critical = critical_value(self.options.false_stops, self.track.looks, len(signs))
        margins = self.options.margin * np.mean([one.errors for one in incumbents], axis=0)
        return dominated_by(estimates, losses[on_front], critical, margins) is not None


@dataclass(frozen=True)
class AmongRivals:
    """Successive halving of one mean: a candidate stops where it is not among the best that came as far.

    Attributes:
        track: of the race.
        objectives: the run's.
        weights: of them in the mean, `objectives`.
        options: the share that goes on.
        records: finished trials.
    """

    track: Track
    objectives: Objectives
    weights: FloatArray
    options: RacingConfig
    records: Sequence[TrialRecord]

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether a candidate with these scores stops at a look that `left` others would follow."""
        rivals = [self._loss(self.track.recorded(one), left) for one in self.records if self.track.reached(one, left)]
        whole = [mean_loss(self.objectives, self.weights, one) for one in self.records if one.whole]
        best = min(whole, default=-math.inf)
        return falls_behind(self._loss(scores, left), np.array(rivals), best, self.options.keep)

    def _loss(self, scores: EachScores, left: int) -> float:
        values = [one.value for one in self.track.estimates(scores, left)]
        return float(np.dot(self.weights * self.objectives.signs, values))
