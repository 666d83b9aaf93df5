"""Shared process: several metrics over the same points, from values and slopes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel

from mergesearch.surrogates.shared_process import FloatArray, SharedProcess


def waves(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two smooth metrics, `points x 2`, and their slopes, `points x 2 x 2`."""
    values = np.stack([np.sin(2 * x[:, 0]) + x[:, 1] ** 2, np.cos(x[:, 0] + x[:, 1])], axis=1)
    falling = -np.sin(x[:, 0] + x[:, 1])
    first = np.stack([2 * np.cos(2 * x[:, 0]), 2 * x[:, 1]], axis=1)
    return values, np.stack([first, np.stack([falling, falling], axis=1)], axis=1)


@pytest.fixture
def points() -> FloatArray:
    """Scattered points, `12 x 2`."""
    return np.random.default_rng(0).random((12, 2))


def test_agrees_with_scikit_learn_without_slopes(points: FloatArray) -> None:
    """The same kernel and data give the same mean, and the same spread where the constant is known."""
    values = waves(points)[0][:, :1]
    ours = SharedProcess(lengths=(0.7,), noises=(1e-3,)).fit(points, values)
    reach = 2.0 * points.std(axis=0).max()
    part = ours._parts[0]
    kernel = RBF(0.7 * reach, "fixed") + WhiteKernel(1e-3, "fixed")
    theirs = GaussianProcessRegressor(kernel, alpha=1e-10, optimizer=None).fit(points, values[:, 0] - part.means[0])
    others = np.random.default_rng(1).random((20, 2))
    mean, std = ours.moments(others)
    expected, spread = theirs.predict(others, return_std=True)
    np.testing.assert_allclose(mean[:, 0], expected + part.means[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(std[:, 0] ** 2 / part.variances[0], np.maximum(spread**2 - 1e-3, 0), atol=1e-6)


def test_slopes_do_what_many_values_do(points: FloatArray) -> None:
    values, slopes = waves(points)
    others = np.random.default_rng(2).random((100, 2))
    without, with_slopes = (SharedProcess().fit(points, values, given) for given in (None, slopes))
    errors = [np.abs(one.predict(others) - waves(others)[0]).mean() for one in (without, with_slopes)]
    assert errors[1] < 0.3 * errors[0]
    assert with_slopes.moments(others)[1].mean() < without.moments(others)[1].mean()


def test_predictions_have_the_slopes_they_were_given(points: FloatArray) -> None:
    values, slopes = waves(points)
    fit, step = SharedProcess(noises=(1e-8,)).fit(points, values, slopes), 1e-4
    for axis, shift in enumerate(step * np.eye(2)):
        found = (fit.predict(points + shift) - fit.predict(points - shift)) / (2 * step)
        np.testing.assert_allclose(found, slopes[:, :, axis], atol=2e-2)


def test_unknown_slopes_are_left_out(points: FloatArray) -> None:
    """NaN for all is as none at all; NaN for some as though those had not been measured."""
    values, slopes = waves(points)
    nothing = SharedProcess().fit(points, values, np.full_like(slopes, np.nan))
    np.testing.assert_array_equal(nothing.predict(points), SharedProcess().fit(points, values).predict(points))
    slopes[3:] = np.nan
    assert np.isfinite(SharedProcess().fit(points, values, slopes).predict(points)).all()


def test_metrics_are_fitted_as_if_alone(points: FloatArray) -> None:
    values, slopes = waves(points)
    together = SharedProcess().fit(points, values, slopes).predict(points + 0.1)
    for metric in range(2):
        one = np.s_[:, metric : metric + 1]
        alone = SharedProcess().fit(points, values[one], slopes[one]).predict(points + 0.1)
        np.testing.assert_allclose(together[:, metric], alone[:, 0], rtol=1e-10)


def test_trust_ends_beyond_the_points(points: FloatArray) -> None:
    """Every fitted point is trusted; one far away is not."""
    fit = SharedProcess().fit(points, *waves(points))
    assert fit.trusted(points).all()
    assert not fit.trusted(np.array([[9.0, 9.0]])).any()


def test_left_out_spread_is_that_of_a_fit_without_the_point(points: FloatArray) -> None:
    values, slopes = waves(points)
    options = {"lengths": (0.5,), "noises": (1e-4,)}
    whole = SharedProcess(**options).fit(points, values, slopes)
    few = SharedProcess(lengths=(0.5 * points.std(axis=0).max() / points[1:].std(axis=0).max(),), noises=(1e-4,))
    few.fit(points[1:], values[1:], slopes[1:])
    found = whole._left_out_std()[0] / np.sqrt(whole._parts[0].variances)
    expected = few.moments(points[:1])[1][0] / np.sqrt(few._parts[0].variances)
    # the left-out spread is that of a measurement, with the noise of its value
    np.testing.assert_allclose(found**2, expected**2 + 1e-4 + 1e-10, rtol=1e-3)


def test_constant_values_are_predicted_as_such(points: FloatArray) -> None:
    np.testing.assert_allclose(SharedProcess().fit(points, np.ones((12, 1))).predict(points), 1.0)
