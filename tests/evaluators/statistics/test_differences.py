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


@pytest.mark.parametrize("changed", [0, 1, 5, 40])
def test_replicates_of_a_share_say_the_same_as_its_samples(changed: int) -> None:
    """Also that equal answers do not prove candidates equal."""
    first = np.arange(200) % 4 > 0
    second = first ^ (np.arange(200) < changed)
    plain, boot = (
        differences(make(first), [make(second)], parts=2)
        for make in (MetricScores.mean, lambda each: MetricScores.aggregate(each, np.mean))
    )
    assert boot.values[0] == plain.values[0] and boot.errors[0] > 0
    assert boot.errors[0] == pytest.approx(plain.errors[0], rel=0.15)


def test_what_is_no_share_gets_nothing_added() -> None:
    values = 3 + np.random.default_rng(4).random(50)
    one = MetricScores.aggregate(values, np.median)
    assert differences(one, [one]).errors[0] == 0.0


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


def test_a_plain_mean_is_paired_with_a_ratio_of_the_same_task() -> None:
    """Whose weights are zero where a document has no value; with none left out both are the same metric."""
    values = np.random.default_rng(2).normal(size=80)
    plain, ratio = MetricScores.mean(values), MetricScores.weighted(values, np.ones(80))
    found = differences(plain, [ratio, MetricScores.mean(values + 1)])
    np.testing.assert_allclose(found.values, [0.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(found.errors, 0.0, atol=1e-12)
    left_out = MetricScores.weighted(np.where(np.arange(80) < 8, 0, values), np.where(np.arange(80) < 8, 0, 1))
    one = differences(left_out, [plain])
    assert 0 < one.errors[0] < plain.stderr / 2


def test_matched_answers_by_hand() -> None:
    """Six won, one lost, three alike, and half a sample more of each way: Wald's statistic of 6.5 and 1.5 of 12."""
    ours, theirs = np.repeat([1.0, 0.0, 1.0], [6, 1, 3]), np.repeat([0.0, 1.0, 1.0], [6, 1, 3])
    found = differences(MetricScores.mean(ours), [MetricScores.mean(theirs)])
    assert (found.values[0], found.centers[0]) == pytest.approx((0.5, 5 / 12))
    assert found.errors[0] == pytest.approx(math.sqrt((8 / 12 - 25 / 144) / 12))
