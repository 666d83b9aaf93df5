"""The weighted mean of the objectives and what one candidate gains on another in it, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...evaluators.statistics.combined import combined
from ...evaluators.statistics.intervals import Interval, difference_interval, score_interval, weighted_sum
from ...evaluators.statistics.scores import MetricScores
from ...spaces.table import FloatArray
from ..objectives import Objectives

Picked = Sequence[MetricScores]  # the scores of one candidate, one per objective


@dataclass(frozen=True)
class WeightedMean:
    """One weighted mean of the objectives.

    Tasks are independent of one another; objectives of one task share its samples, and are added sample by sample.

    Attributes:
        objectives: the run's.
        weights: of them, adding up to 1, `objectives`.
    """

    objectives: Objectives
    weights: FloatArray

    def of(self, picked: Picked, subtracted: bool = False) -> Interval:
        """The mean of a candidate's scores, as it is shown (see `Objectives.mean_sign`), or to be `subtracted`."""
        factors = self.objectives.mean_sign * self.weights * self.objectives.signs
        tasks = math.inf if subtracted else len(self.objectives.tasks)
        parts = [(factor, score_interval(one, tasks)) for factor, (one,) in self._by_task(factors, picked)]
        return weighted_sum(*zip(*parts, strict=True))

    def gain(self, ours: Picked, theirs: Picked) -> Interval:
        """What one candidate gains on another on the same samples, paired; positive where ours is better."""
        parts = self._by_task(-self.weights * self.objectives.signs, ours, theirs)
        tasks = len(self.objectives.tasks)
        gains = [(factor, difference_interval(one, other, tasks)) for factor, (one, other) in parts]
        return weighted_sum(*zip(*gains, strict=True))

    def _by_task(self, factors: FloatArray, *candidates: Picked) -> Iterator[tuple[float, Sequence[MetricScores]]]:
        """For each task a factor, and the scores of each candidate that it is to be multiplied with."""
        for task in self.objectives.tasks:
            rows = [row for row, objective in enumerate(self.objectives.each) if objective.task == task]
            if len(rows) == 1:
                yield float(factors[rows[0]]), [picked[rows[0]] for picked in candidates]
            else:
                yield 1.0, [combined(factors[rows], [picked[row] for row in rows]) for picked in candidates]
