"""Intervals against independent references, and where the textbook's own would fail."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mergesearch.errors import InputError
from mergesearch.evaluators.statistics.bootstrap import resamples
from mergesearch.evaluators.statistics.intervals import Interval, difference_interval, score_interval, weighted_sum
from mergesearch.evaluators.statistics.scores import MetricScores

seeds = st.integers(0, 10_000)


@pytest.mark.parametrize(("right", "count"), [(0, 50), (1, 50), (17, 50), (200, 200), (931, 1000)])
def test_right_and_wrong_have_wilsons_interval(right: int, count: int) -> None:
    found = score_interval(MetricScores.mean([1.0] * right + [0.0] * (count - right)))
    expected = stats.binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert found.value == right / count and found.value in found


@given(seeds)
def test_means_of_symmetric_values_have_students_interval(seed: int) -> None:
    half = np.random.default_rng(seed).standard_t(3, size=30)
    values = 5 + np.concatenate([half, -half])
    found = score_interval(MetricScores.mean(values))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


@given(seeds)
def test_the_side_of_the_long_tail_is_as_long_as_halls(seed: int) -> None:
    """Golden: at the end, Hall's cubic of the standardised mean is Student's quantile (1992, equation 2.2)."""
    values = np.random.default_rng(seed).lognormal(size=40)
    found, mirrored = (score_interval(MetricScores.mean(sign * values)) for sign in (1, -1))
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found.low == pytest.approx(expected.low) and found.high > expected.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))
    far = (values.mean() - found.high) / values.std(ddof=1)
    skewness = stats.skew(values)
    cubic = far + skewness * far**2 / 3 + skewness**2 * far**3 / 27 + skewness / (6 * 40)
    assert cubic * math.sqrt(40) == pytest.approx(stats.t.ppf(0.025, 39))


def test_a_sum_of_skewed_scores_is_less_skewed() -> None:
    scores = MetricScores.mean(np.random.default_rng(2).lognormal(size=40))
    alone, part = score_interval(scores), score_interval(scores, parts=4)
    plain = stats.ttest_1samp(np.asarray(scores.samples), 0).confidence_interval(0.95)
    assert part.high - plain.high == pytest.approx((alone.high - plain.high) / 4) and part.low == alone.low


def test_skewed_values_are_covered_as_often_as_is_claimed() -> None:
    """Of 40 lognormal values Student's interval covers 0.89."""
    generator = np.random.default_rng(0)
    held = [math.exp(0.5) in score_interval(MetricScores.mean(generator.lognormal(size=40))) for _ in range(2000)]
    assert 0.93 < np.mean(held) < 0.97


@given(seeds)
def test_differences_are_paired(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=40)
    ours, theirs = (shared + 0.2 * generator.normal(size=40) for _ in range(2))
    found = difference_interval(MetricScores.mean(ours), MetricScores.mean(theirs))
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_matched_proportions_near_the_plain_ones_where_there_are_many() -> None:
    """Approval of a prime minister, asked twice of 1,600 people (Agresti 2002, section 10.1): -0.04 ± 1.96 · 0.0095."""
    first = np.repeat([1.0, 1.0, 0.0, 0.0], [794, 150, 86, 570])
    second = np.repeat([1.0, 0.0, 1.0, 0.0], [794, 150, 86, 570])
    found = difference_interval(MetricScores.mean(second), MetricScores.mean(first))
    assert found.value == pytest.approx(-0.04)
    assert (found.low, found.high) == pytest.approx((-0.0587, -0.0213), abs=3e-4)


@pytest.mark.parametrize("count", [2, 50, 200])
def test_equal_answers_do_not_prove_candidates_equal(count: int) -> None:
    one = MetricScores.mean(np.arange(count) % 2.0)
    found = difference_interval(one, one)
    assert found.value == 0 and found.high == pytest.approx(1.959964 / (count + 2)) == -found.low
    shared = difference_interval(one, one, parts=4)
    assert shared.high < found.high


def test_a_bootstrap_that_is_biased_keeps_the_value_inside() -> None:
    """The squared length of a mean is larger in resamples than in the sample, as it is there than in truth."""
    items = np.random.default_rng(0).normal(size=(40, 64))
    scores = MetricScores.aggregate(items, lambda rows: float((rows.mean(axis=0) ** 2).sum()))
    drawn = [float((items[row].mean(axis=0) ** 2).sum()) for row in resamples(40)]
    assert np.quantile(drawn, 0.05) > scores.value
    found = score_interval(scores)
    assert found.low < found.value < found.high


@given(seeds, st.integers(2, 60))
def test_ratios_of_totals_have_intervals_that_hold_students_and_the_percentiles(seed: int, count: int) -> None:
    generator = np.random.default_rng(seed)
    scores = MetricScores.weighted(generator.gamma(2.0, size=count), generator.integers(1, 40, count), link="exp")
    found, half = score_interval(scores), float(stats.t.ppf(0.975, count - 1)) * scores.stderr
    percentiles = np.quantile(np.asarray(scores.replicates), (0.025, 0.975))
    assert found.low <= min(percentiles[0], scores.value - half) + 1e-12
    assert found.high >= max(percentiles[1], scores.value + half) - 1e-12


def test_perplexity_is_covered_as_often_as_is_claimed() -> None:
    """Of 30 windows plain percentiles cover 0.91."""
    generator, held = np.random.default_rng(0), []
    for _ in range(1000):
        tokens = generator.integers(5, 40, 30)
        scores = MetricScores.weighted(tokens * generator.gamma(4, 0.5, 30), tokens, link="exp")
        held.append(math.exp(2) in score_interval(scores))
    assert 0.93 < np.mean(held) < 0.97


def test_skewed_replicates_give_a_skewed_interval_and_few_of_them_students() -> None:
    items = np.random.default_rng(1).random(60) < 0.93
    many, few = (MetricScores.aggregate(items, np.mean, replicates=count) for count in (256, 20))
    found = score_interval(many)
    assert found.value - found.low > 1.1 * (found.high - found.value)
    assert score_interval(few).high - few.value == pytest.approx(stats.t.ppf(0.975, 19) * few.stderr)


def test_one_sample_says_nothing_unless_it_can_only_be_right_or_wrong() -> None:
    assert score_interval(MetricScores.mean([3.0])) == Interval(3.0, -math.inf, math.inf)
    assert score_interval(MetricScores.aggregate([3.0], lambda items: items[0])).high == math.inf
    assert difference_interval(MetricScores.mean([3.0]), MetricScores.mean([1.0])).low == -math.inf
    assert score_interval(MetricScores.mean([1.0])).low == pytest.approx(0.2065, abs=1e-4)


def test_a_sum_adds_the_distances_to_the_ends_as_errors() -> None:
    parts = [Interval(1.0, 0.7, 1.4), Interval(2.0, 1.6, 2.3)]
    both = weighted_sum([1, 1], parts)
    assert (both.value, both.low, both.high) == pytest.approx((3.0, 2.5, 3.5))
    minus = weighted_sum([1, -1], parts)
    assert minus.low == pytest.approx(-1 - math.hypot(0.3, 0.3))
    assert minus.high == pytest.approx(-1 + math.hypot(0.4, 0.4))
    assert weighted_sum([0.0, 1.0], [Interval(9.0, -math.inf, math.inf), parts[1]]) == parts[1]


def test_scores_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(InputError, match="have neither samples nor replicates"):
        score_interval(MetricScores(1.0, None, None))
    with pytest.raises(InputError, match="2 samples and 3 samples cannot be paired; compare scores of one metric"):
        difference_interval(MetricScores.mean([1, 2]), MetricScores.mean([1, 2, 3]))
    few, many = (MetricScores.aggregate([1, 2], np.mean, count) for count in (64, 256))
    with pytest.raises(InputError, match="64 replicates and 256 replicates cannot be paired"):
        difference_interval(few, many)


def test_two_samples_have_the_wide_interval_of_one_degree_of_freedom() -> None:
    """Differences 1 and 3: a mean of 2 with a standard error of 1, and Student's 12.706 (tan 0.475 π) of them."""
    found = difference_interval(MetricScores.mean([1.5, 4.0]), MetricScores.mean([0.5, 1.0]))
    half = math.tan(0.475 * math.pi)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0 - half, 2.0 + half))
