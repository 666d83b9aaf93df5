"""The quadratic from slopes: what N + 1 points determine, what fewer do, and merges that have broken down."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.surrogates._features import quadratic_features, quadratic_slopes
from mergesearch.surrogates.design import canonical, simplex_shell, with_canonical
from mergesearch.surrogates.gradient_quadratic import GradientQuadraticSurrogate
from mergesearch.surrogates.warp import warp_of

TINY = 1e-13  # a ridge that only breaks ties


class Quadratic:
    """A random quadratic, its values and its slopes."""

    def __init__(self, dimension: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        half = rng.normal(size=(dimension, dimension))
        self.constant, self.linear, self.curvature = rng.normal(), rng.normal(size=dimension), half + half.T

    def values(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.constant + x @ self.linear + 0.5 * np.einsum("ni,ij,nj->n", x, self.curvature, x))

    def slopes(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.linear + x @ self.curvature)


@given(st.integers(1, 8), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_base_and_members_determine_everything(dimension: int, seed: int) -> None:
    truth, x = Quadratic(dimension, seed), canonical(dimension)[: dimension + 1]
    fit = GradientQuadraticSurrogate("identity", slope_weight=0.5, ridge=TINY).fit(x, truth.values(x), truth.slopes(x))
    assert fit.constant_ == pytest.approx(truth.constant, abs=1e-6)
    np.testing.assert_allclose(fit.linear_, truth.linear, atol=1e-6)
    np.testing.assert_allclose(fit.curvature_, truth.curvature, atol=1e-6)


@given(st.integers(2, 8), st.integers(0, 2**16))
@settings(max_examples=40, deadline=None)
def test_fewer_points_determine_their_hull(dimension: int, seed: int) -> None:
    """With ⌈N/2⌉ + 1 points there are as many equations as coefficients, but not as many independent ones."""
    count = -(-dimension // 2) + 1
    truth, x = Quadratic(dimension, seed), simplex_shell(count, dimension, seed % 100)
    fit = GradientQuadraticSurrogate("identity", slope_weight=0.5, ridge=TINY).fit(x, truth.values(x), truth.slopes(x))
    shares = np.random.default_rng(seed).dirichlet(np.ones(count), 50)
    np.testing.assert_allclose(fit.predict(shares @ x), truth.values(shares @ x), atol=1e-4)
    rows = np.concatenate([quadratic_features(x), quadratic_slopes(x).reshape(count * dimension, -1)])
    assert np.linalg.matrix_rank(rows) == rows.shape[1] - (dimension - count + 1) * (dimension - count + 2) // 2


@pytest.mark.parametrize("warp", ["log", "softplus"])
def test_recovery_before_a_warp(warp: str) -> None:
    truth, x, curve = Quadratic(4, 1), with_canonical(simplex_shell(2, 4, 0)), warp_of(warp)
    z = truth.values(x)
    slopes = truth.slopes(x) * curve.slope(z)[:, None]
    fit = GradientQuadraticSurrogate(warp, ridge=TINY).fit(x, curve.metric(z), slopes)
    np.testing.assert_allclose(fit.curvature_, truth.curvature, atol=1e-5)
    assert GradientQuadraticSurrogate(ridge=TINY).fit(x, curve.metric(z), slopes).warp_.name == warp


def test_unknown_slopes_are_left_out() -> None:
    truth, x = Quadratic(3, 2), with_canonical(simplex_shell(12, 3, 0))
    slopes = truth.slopes(x)
    slopes[4:] = np.nan
    for given_slopes in (slopes, None):
        fit = GradientQuadraticSurrogate("identity", ridge=TINY).fit(x, truth.values(x), given_slopes)
        np.testing.assert_allclose(fit.curvature_, truth.curvature, atol=1e-4)


def test_a_merge_that_broke_down_moves_little() -> None:
    """Losses of about fifty nats, off any quadratic, at two points far out."""
    x = with_canonical(simplex_shell(4, 8, 0))
    z = lambda c: 1.0 + ((c - 0.2) ** 2).sum(axis=1)  # noqa: E731
    far = np.array([[1.0] * 8, [1.3, 0.0] * 4])
    wide = np.vstack([x, far])
    y = np.append(z(x), [50.0, 47.0])
    slopes = np.vstack([2.0 * (x - 0.2), np.random.default_rng(0).normal(size=(2, 8)) * 40])
    held_out = simplex_shell(200, 8, 5)
    fit = GradientQuadraticSurrogate("identity").fit(wide, y, slopes)
    assert np.abs(fit.predict(held_out) - z(held_out)).max() < 0.1


@pytest.mark.parametrize(("value_noise", "slope_noise"), [(0.05, 0.05), (0.02, 0.2)])
def test_intervals_cover_what_is_measured(value_noise: float, slope_noise: float) -> None:
    covered = []
    for seed in range(30):
        rng = np.random.default_rng(seed)
        truth, x = Quadratic(3, seed), with_canonical(simplex_shell(20, 3, seed))
        y = truth.values(x) + value_noise * rng.normal(size=len(x))
        slopes = truth.slopes(x) + slope_noise * rng.normal(size=x.shape)
        fit = GradientQuadraticSurrogate("identity").fit(x, y, slopes)
        held_out = simplex_shell(100, 3, 1000 + seed)
        measured = truth.values(held_out) + value_noise * rng.normal(size=100)
        low, high = fit.interval(held_out).T
        covered.append(((low <= measured) & (measured <= high)).mean())
    assert 0.85 <= np.mean(covered) <= 0.97


def test_slopes_of_another_shape_are_refused() -> None:
    x = canonical(2)
    with pytest.raises(
        InputError, match=r"slopes have the shape \(4, 3\), X has \(4, 2\); give one slope per coefficient"
    ):
        GradientQuadraticSurrogate().fit(x, x[:, 0], np.zeros((4, 3)))
