"""Whether a run's tasks tell its candidates apart: of how many candidates that is said, and of what."""

from __future__ import annotations

import numpy as np

from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import Picked, WeightedMean
from mergesearch.runs.outcome.separation import MEAN, signals

OBJECTIVES = Objectives((Objective("a", "score", True), Objective("b", "score", True)))


def candidates(count: int) -> dict[int, Picked]:
    """Trials by number, of two tasks with 20 and 30 samples."""
    rng = np.random.default_rng(0)
    return {number: [MetricScores.mean(number + rng.random(size)) for size in (20, 30)] for number in range(count)}


def test_two_candidates_say_nothing_of_a_spread() -> None:
    mean = WeightedMean(OBJECTIVES, np.array([0.5, 0.5]))
    assert signals(mean, candidates(2), {"a": 20, "b": 30}) == {}
    found = signals(mean, candidates(3), {"a": 20, "b": 30})
    assert {name: one.samples for name, one in found.items()} == {"a/score": 20, "b/score": 30, MEAN: 50}
    assert all(one.candidates == 3 and one.separates for one in found.values())
