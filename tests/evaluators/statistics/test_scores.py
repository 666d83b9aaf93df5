"""Statistics of per-sample scores against textbook formulas and simulations."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.statistics.bootstrap import REPLICATES, resamples
from mergesearch.evaluators.statistics.scores import MetricScores, require_finite

values = st.floats(-1e6, 1e6)
samples = st.integers(1, 40).flatmap(lambda count: arrays(np.float64, count, elements=values))


@given(samples)
def test_mean_and_its_error_are_the_textbook_ones(each: np.ndarray) -> None:
    scores = MetricScores.mean(each)
    assert scores.value == pytest.approx(math.fsum(each) / len(each), abs=1e-6)
    expected = math.sqrt(((each - each.mean()) ** 2).sum() / (len(each) - 1) / len(each)) if len(each) > 1 else math.inf
    assert scores.stderr == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert scores.replicates is None


@pytest.mark.parametrize("count", [40, 100, 250, 700])
def test_bootstrap_error_of_a_mean_is_near_the_analytic_one(count: int) -> None:
    drawn = np.random.default_rng(count).normal(size=(20, count))
    ratios = [MetricScores.aggregate(each, np.mean).stderr / MetricScores.mean(each).stderr for each in drawn]
    assert np.abs(np.subtract(ratios, 1)).max() < 0.15
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)


@given(samples)
def test_aggregate_of_lists_and_arrays_agree(each: np.ndarray) -> None:
    from_list = MetricScores.aggregate(list(each), lambda items: float(np.mean(items)), replicates=5)
    from_array = MetricScores.aggregate(each, lambda items: float(np.mean(items)), replicates=5)
    assert from_list.value == from_array.value
    np.testing.assert_array_equal(from_list.replicates, from_array.replicates)


@given(
    arrays(np.float64, 12, elements=st.floats(0, 50)),
    arrays(np.int64, 12, elements=st.integers(1, 100)),
)
def test_perplexity_is_the_direct_formula(nats: np.ndarray, tokens: np.ndarray) -> None:
    scores = MetricScores.weighted(nats, tokens, link="exp")
    assert scores.value == pytest.approx(math.exp(math.fsum(nats) / tokens.sum()))
    np.testing.assert_allclose(np.asarray(scores.samples), np.exp(nats / tokens))
    direct = [math.exp(nats[row].sum() / tokens[row].sum()) for row in resamples(12)]
    np.testing.assert_allclose(np.asarray(scores.replicates), np.asarray(direct))


def test_a_weighted_mean_with_equal_weights_is_the_mean() -> None:
    each = np.random.default_rng(0).normal(size=200)
    weighted, mean = MetricScores.weighted(each, np.ones(200)), MetricScores.mean(each)
    assert weighted.value == pytest.approx(mean.value)
    assert weighted.stderr == pytest.approx(mean.stderr, rel=0.15)


def test_a_sample_without_weight_takes_the_overall_value() -> None:
    scores = MetricScores.weighted([2.0, 0.0], [1, 0])
    np.testing.assert_array_equal(scores.samples, [2.0, 2.0])
    assert scores.stderr == 0.0


@pytest.mark.parametrize("seed", range(5))
def test_paired_difference_is_sharper_on_correlated_data(seed: int) -> None:
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=150)
    first, second = (shared + 0.1 * generator.normal(size=150) for _ in range(2))
    for make in (MetricScores.mean, lambda each: MetricScores.aggregate(each, np.mean)):
        a, b = make(first), make(second)
        difference, error = a.difference(b)
        assert difference == pytest.approx(a.value - b.value)
        assert error < 0.5 * math.hypot(a.stderr, b.stderr)
    assert error == pytest.approx(MetricScores.mean(first - second).stderr, rel=0.2)


def test_difference_with_itself_is_exactly_zero() -> None:
    for scores in (MetricScores.mean([1.0, 2.0, 5.0]), MetricScores.weighted([1.0, 2.0], [1, 1], "exp")):
        assert scores.difference(scores) == (0.0, 0.0)


def test_undefined_resamples_are_left_out_of_the_error() -> None:
    def one_over_sum(items: np.ndarray) -> float:
        if items.sum() == 0:
            raise ZeroDivisionError
        return float(1 / items.sum())

    scores = MetricScores.aggregate(np.array([1, 0, 0, 0]), one_over_sum)
    assert scores.replicates is not None
    assert 0 < np.isnan(scores.replicates).sum() < REPLICATES
    assert 0 < scores.stderr < math.inf


def test_an_error_of_which_nothing_is_known_is_infinite() -> None:
    def only_in_order(items: list[int]) -> float:
        if items != [0, 1, 2, 3, 4, 5, 6, 7]:
            raise ValueError("out of order")
        return 1.0

    assert MetricScores.aggregate(list(range(8)), only_in_order).stderr == math.inf
    with pytest.raises(ValueError, match="out of order"):
        MetricScores.aggregate([1, 0], only_in_order)


def test_a_single_sample_says_nothing_of_its_error() -> None:
    """Otherwise one held-out sample would prove one model better than another."""
    single = MetricScores.mean([3.0])
    assert single.stderr == math.inf and single.difference(MetricScores.mean([1.0])) == (2.0, math.inf)
    assert MetricScores.aggregate([3.0], lambda items: items[0]).stderr == math.inf
    assert MetricScores.weighted([3.0], [2.0]).stderr == math.inf


def test_scores_survive_pickling() -> None:
    scores = MetricScores.aggregate([1.0, 2.0], lambda items: sum(items))
    again = pickle.loads(pickle.dumps(scores))
    assert again.value == scores.value
    np.testing.assert_array_equal(again.replicates, scores.replicates)


def test_unusable_input_is_refused_with_its_numbers() -> None:
    with pytest.raises(InputError, match="0 samples"):
        MetricScores.mean([])
    with pytest.raises(InputError, match="2 sums and 1 weights"):
        MetricScores.weighted([1.0, 2.0], [1])
    with pytest.raises(InputError, match="not all zero"):
        MetricScores.weighted([1.0], [0])
    with pytest.raises(InputError, match="2 and of 3 samples"):
        MetricScores.mean([1, 2]).difference(MetricScores.mean([1, 2, 3]))
    with pytest.raises(InputError, match="compare scores of one metric"):
        MetricScores.mean([1, 2]).difference(MetricScores.weighted([1, 2], [1, 1]))


def test_values_that_are_not_finite_name_task_and_metric() -> None:
    with pytest.raises(TrialError, match=r"colours/loss is nan \(1 of 3 samples are not finite\)"):
        require_finite("colours", "loss", MetricScores.mean([1.0, math.nan, 2.0]))
    with pytest.raises(TrialError, match="words/perplexity is inf"):
        require_finite("words", "perplexity", MetricScores.weighted([1e5], [1], "exp"))
    fine = MetricScores.mean([1.0])
    assert require_finite("a", "b", fine) is fine
