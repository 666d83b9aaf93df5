"""The paired estimate: exact at the end, unbiased, with an honest error that incumbents make smaller."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.evaluators.estimators.stratified import expected_variance, stratified_mean
from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.paired import paired_estimate
from mergesearch.evaluators.racing.strata import FloatArray, Strata, strata_of

SAMPLES = 400


def world(seed: int, incumbents: int = 20) -> tuple[Strata, FloatArray, FloatArray]:
    """Strata of 3 members, right answers of incumbents, and of a candidate like them."""
    rng = np.random.default_rng(seed)
    steep, hard = rng.random((SAMPLES, 3)) * 3, rng.normal(1, 1.5, SAMPLES)
    abilities = np.vstack([np.eye(3) * 2, rng.dirichlet(np.ones(3), incumbents + 1) * 2])
    luck = np.where(rng.random((len(abilities), SAMPLES)) < 0.7, rng.logistic(size=SAMPLES), 0)
    luck = np.where(luck == 0, rng.logistic(size=luck.shape), luck)  # mostly the sample's, and in part the model's own
    right = (abilities @ steep.T - hard + luck > 0).astype(float)
    return strata_of(right[:3]), right[3:-1], right[-1]


@given(st.integers(0, 1000), st.integers(0, 30))
@settings(max_examples=25)
def test_it_is_exact_once_everything_is_visited(seed: int, incumbents: int) -> None:
    strata, others, candidate = world(seed, incumbents)
    order = visiting_order(strata, 0.3, [seed])
    found = paired_estimate(strata, order, candidate[order], others)
    assert found.value == pytest.approx(candidate.mean(), abs=1e-12)
    assert found.error == 0


def test_it_is_unbiased_and_its_error_is_what_it_says() -> None:
    misses, errors = [], []
    for seed in range(400):
        strata, others, candidate = world(seed)
        visited = visiting_order(strata, 0.3, [seed])[:64]
        found = paired_estimate(strata, visited, candidate[visited], others)
        misses.append(found.value - candidate.mean())
        errors.append(found.error)
    assert np.mean(misses) == pytest.approx(0, abs=3 * np.std(misses) / np.sqrt(400))
    assert 0.6 < np.std(misses) / np.sqrt(np.mean(np.square(errors))) < 1.05


def test_incumbents_make_the_error_smaller_than_strata_alone() -> None:
    with_them: list[float] = []
    without: list[float] = []
    for seed in range(60):
        strata, others, candidate = world(seed)
        visited = visiting_order(strata, 0.3, [seed])[:96]
        for found, control in ((with_them, others), (without, others[:0])):
            found.append(paired_estimate(strata, visited, candidate[visited], control).value - candidate.mean())
    assert np.std(with_them) < 0.85 * np.std(without)


def test_a_copy_of_an_incumbent_is_known_almost_exactly() -> None:
    strata, others, _ = world(3)
    visited = visiting_order(strata, 0.3, [3])[:48]
    found = paired_estimate(strata, visited, others[0][visited], others)
    assert found.value == pytest.approx(others[0].mean(), abs=0.03)
    assert found.error > 0


def test_scores_of_another_unit_are_estimated_alike() -> None:
    strata, others, candidate = world(5)
    visited = visiting_order(strata, 0.3, [5])[:64]
    plain = paired_estimate(strata, visited, candidate[visited], others)
    scaled = paired_estimate(strata, visited, 7 - 100 * candidate[visited], 7 - 100 * others)
    assert scaled.value == pytest.approx(7 - 100 * plain.value)
    assert scaled.error == pytest.approx(100 * plain.error)


def test_incumbents_that_are_all_alike_break_nothing() -> None:
    strata, _, candidate = world(6)
    visited = visiting_order(strata, 0.3, [6])[:32]
    for constant in (0.0, 1.0):
        found = paired_estimate(strata, visited, candidate[visited], np.full((5, SAMPLES), constant))
        assert np.isfinite([found.value, found.error]).all()


def test_it_is_the_best_linear_prediction_and_the_mean_of_what_that_misses() -> None:
    """Beside the same in terms of covariances: of candidates drawn as the incumbents, with a shift and own errors."""
    rng = np.random.default_rng(7)
    ease = rng.normal(size=50)
    incumbents, candidate = ease + 0.3 * rng.normal(size=(6, 50)), ease + 0.2 + 0.3 * rng.normal(size=50)
    strata, visited = Strata(np.zeros(50, dtype=np.int64), np.array([False])), np.arange(3, 50, 4)
    found = paired_estimate(strata, visited, candidate[visited], incumbents)
    variance = expected_variance(incumbents, candidate[visited])
    mean, noise = incumbents.mean(axis=0), 0.5 * variance
    covariance = np.cov(incumbents.T, bias=True) + noise
    weights = np.linalg.solve(covariance[np.ix_(visited, visited)] + noise * np.eye(12), covariance[visited]).T
    predicted = mean + weights @ (candidate - mean)[visited]
    misses = (candidate - predicted)[visited]
    assert found.value == pytest.approx(predicted.mean() + misses.mean())
    left_out = misses / (1.0 - weights[visited, np.arange(12)])
    assert found.error == pytest.approx(stratified_mean(strata, visited, left_out, variance).error)


def test_it_stays_within_what_the_samples_to_come_allow() -> None:
    """A candidate that is right where all incumbents fail, and predicted to be more than right elsewhere."""
    strata, visited = Strata(np.zeros(40, dtype=np.int64), np.array([True])), np.arange(10)
    incumbents = np.repeat([[0.0, 1.0], [0.0, 1.0]], [10, 30], axis=1)
    assert paired_estimate(strata, visited, np.ones(10), incumbents).value == 1.0
    assert paired_estimate(strata, visited, np.zeros(10), 1.0 - incumbents).value == 0.0
