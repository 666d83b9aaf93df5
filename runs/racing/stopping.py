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
from ..outcome.shortlist import mean_loss
from ..record import Proposal, TrialRecord
from .track import EachScores, Track

_PAIRED = 32  # trials; more of them cost more than they tell


@dataclass(frozen=True)
class AgainstFront:
    """Racing: a candidate stops once an incumbent of the front dominates it, with confidence.

    It is paired with the trials whose coefficients are nearest to its own, which get the same samples right.

    Attributes:
        track: of the race.
        objectives: the run's.
        options: the probability of a false stop, and the margin.
        records: finished trials.
        proposal: the candidate.
    """

    track: Track
    objectives: Objectives
    options: RacingConfig
    records: Sequence[TrialRecord]
    proposal: Proposal

    def estimates(self, scores: EachScores, left: int) -> list[Estimate]:
        """What the candidate's full scores come to, as far as a look tells."""
        whole = [record for record in self.records if record.whole]
        return paired_estimates(self.track, self.proposal, scores, left, whole)

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether the candidate, with these scores, stops at a look that `left` others would follow."""
        whole = [record for record in self.records if record.whole]
        if not whole:
            return False
        signs, paired = self.objectives.signs, self.estimates(scores, left)
        estimates = [Estimate(sign * one.value, one.error) for sign, one in zip(signs, paired, strict=True)]
        critical = critical_value(self.options.false_stops, self.track.sizes, len(signs))
        losses = np.array([record.values for record in whole]) * signs
        margins = self.options.margin * np.mean([record.errors for record in whole], axis=0)
        return dominated_by(estimates, losses[front(losses)], critical, margins) is not None


def paired_estimates(
    track: Track, proposal: Proposal, scores: EachScores, left: int, whole: Sequence[TrialRecord]
) -> list[Estimate]:
    """What a look tells of each objective on all samples, paired with the trials of the nearest coefficients."""
    ours = proposal.table.members
    away = [float(((record.proposal.table.members - ours) ** 2).sum()) for record in whole]
    nearest = sorted(np.argsort(away, kind="stable")[:_PAIRED])
    return track.paired(scores, [track.recorded(whole[row]) for row in nearest], left)


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

    def estimates(self, scores: EachScores, left: int) -> list[Estimate]:
        """What the candidate's full scores come to, as far as a look tells."""
        return self.track.estimates(scores, left)

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether the candidate, with these scores, stops at a look that `left` others would follow."""
        scale = self.weights * self.objectives.signs
        rivals = [scale @ self.track.estimated(one, left) for one in self.records if self.track.reached(one, left)]
        whole = [mean_loss(self.objectives, self.weights, one) for one in self.records if one.whole]
        loss = scale @ [one.value for one in self.track.estimates(scores, left)]
        return falls_behind(float(loss), np.array(rivals), min(whole, default=-math.inf), self.options.keep)
