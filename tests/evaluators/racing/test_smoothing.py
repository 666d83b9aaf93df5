"""Smoothing: estimates of similar candidates say something of one another."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from mergesearch.evaluators.racing.smoothing import Smoothing
from mergesearch.evaluators.racing.strata import FloatArray


def world(seed: int, trials: int = 80) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Places, true scores, measured ones, and their errors: every fourth trial is known."""
    rng = np.random.default_rng(seed)
    places = rng.uniform(0, 1, (trials, 4))
    truth = 0.8 - ((places - rng.uniform(0, 1, 4)) ** 2) @ rng.uniform(0.1, 0.4, 4)
    errors = np.where(np.arange(trials) % 4 == 0, 0.0, rng.uniform(0.02, 0.1, trials))
    return places, truth, truth + errors * rng.standard_normal(trials), errors


@pytest.mark.parametrize("seed", range(5))
def test_estimates_come_nearer_to_the_truth(seed: int) -> None:
    places, truth, measured, errors = world(seed)
    smoothed, spread = Smoothing(places, measured, errors).estimates(measured, errors)
    noisy = errors > 0
    assert ((smoothed - truth)[noisy] ** 2).mean() < 0.5 * ((measured - truth)[noisy] ** 2).mean()
    assert np.abs((smoothed - truth)[noisy] / spread[noisy]).mean() < 1.5, "the errors are about right"
    assert np.allclose(smoothed[~noisy], truth[~noisy], atol=1e-3), "what is known stays"


@given(st.integers(0, 1000), st.integers(3, 30))
def test_no_error_grows_and_no_value_leaves_the_range(seed: int, trials: int) -> None:
    places, _, measured, errors = world(seed, trials)
    smoothed, spread = Smoothing(places, measured, errors).estimates(measured, errors)
    assert (spread <= np.maximum(errors, 1e-3 * measured.std()) + 1e-12).all()
    assert measured.min() <= smoothed.min() and smoothed.max() <= measured.max()


@pytest.mark.parametrize(("seed", "trials"), [(7, 80), (5, 24), (8, 24)])
def test_it_is_the_likeliest_process_of_the_grid(seed: int, trials: int) -> None:
    places, _, measured, errors = world(seed, trials)
    noise = np.maximum(errors, 1e-3 * measured.std()) ** 2
    typical = float(np.median(np.linalg.norm(places[:, None] - places, axis=2)))
    kernels = [
        ConstantKernel(spread * measured.var()) * Matern(scale * typical, nu=2.5)
        for scale in 2.0 ** np.arange(-1, 5)
        for spread in 4.0 ** np.arange(-1, 3)
    ]
    centred = measured - measured.mean()
    fits = [GaussianProcessRegressor(kernel, alpha=noise, optimizer=None).fit(places, centred) for kernel in kernels]
    means, spread = max(fits, key=lambda fit: fit.log_marginal_likelihood_value_).predict(places, return_std=True)
    smoothed, found = Smoothing(places, measured, errors).estimates(measured, errors)
    assert np.allclose(smoothed, means + measured.mean(), atol=1e-6) and np.allclose(found, spread, atol=1e-6)


def test_equal_values_are_left_as_they_are() -> None:
    places, values, errors = np.eye(3), np.full(3, 0.5), np.array([0.0, 0.1, 0.1])
    smoothed, spread = Smoothing(places, values, errors).estimates(values, errors)
    assert (smoothed == values).all() and (spread == errors).all()


def test_trials_of_the_same_coefficients_share_what_was_measured() -> None:
    """Of one place, measured alike: all are the mean, and their common error is less than each one's own."""
    values, errors = np.array([0.2, 0.4, 0.5, 0.7]), np.full(4, 0.3)
    smoothed, spread = Smoothing(np.ones((4, 3)), values, errors).estimates(values, errors)
    assert smoothed == pytest.approx(np.full(4, 0.45))
    assert (spread < 0.3).all() and spread == pytest.approx(np.full(4, spread[0]))


def test_what_is_known_of_one_place_may_be_known_twice() -> None:
    places, truth, measured, errors = world(2, 24)
    twice = np.vstack([places, places[:1]]), np.r_[measured, measured[0]], np.r_[errors, 0.0]
    smoothed, _ = Smoothing(*twice).estimates(*twice[1:])
    assert smoothed[[0, -1]] == pytest.approx(truth[[0, 0]], abs=1e-3)
