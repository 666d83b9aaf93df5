"""Differences of one candidate to many, and their p-values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mergesearch.evaluators.statistics.differences import differences
from mergesearch.evaluators.statistics.scores import MetricScores


def answers(generator: np.random.Generator, accuracy: float, count: int = 300) -> MetricScores:
    return MetricScores.mean((generator.random(count) < accuracy).astype(float))


def test_many_at_once_are_each_alone() -> None:
    generator = np.random.default_rng(0)
    kinds = {
        "binary": [answers(generator, 0.6) for _ in range(4)],
        "graded": [MetricScores.mean(generator.random(50)) for _ in range(4)],
        "bootstrap": [MetricScores.aggregate(generator.random(50), np.median) for _ in range(4)],
    }
    for scores in kinds.values():
        together = differences(scores[0], scores[1:])
        for row, other in enumerate(scores[1:]):
            alone = differences(scores[0], [other])
            assert together.values[row] == scores[0].value - other.value
            assert together.errors[row] == pytest.approx(alone.errors[0])
            assert together.p_values[row] == pytest.approx(alone.p_values[0])


def test_p_values_of_means_are_students() -> None:
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=(2, 25))
    found = differences(MetricScores.mean(one), [MetricScores.mean(other)])
    assert found.p_values[0] == pytest.approx(stats.ttest_rel(one, other).pvalue)


def test_p_values_of_bootstraps_follow_the_spread_of_paired_replicates() -> None:
    generator = np.random.default_rng(2)
    one, other = (MetricScores.aggregate(generator.normal(size=80), np.mean) for _ in range(2))
    found = differences(one, [other])
    expected = 2 * stats.t.sf(abs(one.value - other.value) / one.difference(other)[1], 255)
    assert found.p_values[0] == pytest.approx(expected)


def test_equal_candidates_are_called_different_as_often_as_is_claimed() -> None:
    generator = np.random.default_rng(3)
    p_values = [differences(answers(generator, 0.7), [answers(generator, 0.7)]).p_values[0] for _ in range(2000)]
    assert 0.035 < np.mean(np.array(p_values) < 0.05) < 0.06


def test_certain_and_unknown_differences() -> None:
    one, higher = MetricScores.mean([1.0, 2.0, 4.0]), MetricScores.mean([2.0, 3.0, 5.0])
    assert differences(one, [one, higher]).p_values.tolist() == [1.0, 0.0]
    single = differences(MetricScores.mean([3.0]), [MetricScores.mean([1.0])])
    assert single.errors[0] == math.inf and single.p_values[0] == 1.0
    undefined = MetricScores(0.5, None, np.array([np.nan, 0.4, np.nan]))
    assert differences(undefined, [undefined]).errors[0] == math.inf
