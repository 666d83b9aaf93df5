"""The weighted mean: of one candidate, and paired between two."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.evaluators.statistics.intervals import difference_interval, score_interval
from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import WeightedMean

TWO_TASKS = Objectives((Objective("sums", "acc", True), Objective("copy", "acc", True)))
ONE_TASK = Objectives((Objective("sums", "acc", True), Objective("sums", "loss", False)))
HALVES = np.array([0.5, 0.5])


def test_gain_of_independent_tasks_adds_their_variances() -> None:
    generator = np.random.default_rng(0)
    ours, theirs = ([MetricScores.mean(generator.random(400)) for _ in range(2)] for _ in range(2))
    gain = WeightedMean(TWO_TASKS, HALVES).gain(ours, theirs)
    each = [difference_interval(one, other) for one, other in zip(ours, theirs, strict=True)]
    assert gain.value == pytest.approx(np.mean([one.value for one in each]))
    assert gain.high - gain.value == pytest.approx(0.5 * np.linalg.norm([one.high - one.value for one in each]))


def test_gain_of_one_task_is_paired_over_its_metrics() -> None:
    """Two metrics that cancel each other on every sample leave no error."""
    values, others = np.random.default_rng(1).random((2, 50))
    ours = [MetricScores.mean(values), MetricScores.mean(values)]
    theirs = [MetricScores.mean(others), MetricScores.mean(others + 0.2)]
    gain = WeightedMean(ONE_TASK, HALVES).gain(ours, theirs)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.1, 0.1, 0.1), abs=1e-12)


def test_a_mean_and_a_bootstrap_of_one_task() -> None:
    """Whatever the kind of a metric, a candidate gains nothing on itself, and lower losses are a gain."""
    generator = np.random.default_rng(2)
    better, worse = (
        [MetricScores.mean(loss), MetricScores.weighted(loss, generator.integers(3, 9, 60), "exp")]
        for loss in (generator.random(60), generator.random(60) + 1)
    )
    objectives = Objectives((Objective("text", "loss", False), Objective("text", "perplexity", False)))
    mean = WeightedMean(objectives, HALVES)
    assert mean.gain(better, better).value == 0 and mean.gain(better, worse).low > 0
    assert mean.of(better).value == pytest.approx(np.mean([one.value for one in better]))
    assert mean.of(better).low < mean.of(better).value < mean.of(better).high


def test_the_mean_is_shown_as_its_direction_is() -> None:
    scores = [MetricScores.mean([0.2, 0.4, 0.9]), MetricScores.mean([1.0, 3.0, 2.5])]
    higher = WeightedMean(TWO_TASKS, np.array([0.75, 0.25])).of(scores)
    assert higher.value == pytest.approx(0.75 * 0.5 + 0.25 * scores[1].value)
    mixed = Objectives((Objective("sums", "acc", True), Objective("copy", "loss", False)))
    assert WeightedMean(mixed, HALVES).of(scores).value == pytest.approx(0.5 * 0.5 - 0.5 * scores[1].value)
    alone = WeightedMean(Objectives((Objective("copy", "loss", False),)), np.ones(1))
    assert alone.of(scores[1:]) == score_interval(scores[1])


def test_tasks_share_the_halves_that_are_added_to_answers() -> None:
    """Of equal answers: a quarter won and a quarter lost of 51, in each of two tasks, which are then averaged."""
    same = [MetricScores.mean(np.arange(50) % 2.0)] * 2
    gain = WeightedMean(TWO_TASKS, HALVES).gain(same, same)
    assert (gain.value, gain.low, gain.high) == pytest.approx((0.0, -1.959964 / 102, 1.959964 / 102))
