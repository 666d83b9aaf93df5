"""The process from slopes: its covariance, its evidence, leave-one-out, and what a slope is worth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import cho_solve
from scipy.optimize import approx_fprime
from sklearn.gaussian_process.kernels import RBF

from mergesearch.errors import InputError
from mergesearch.surrogates._slope_kernel import Equations, Pairs, rbf_values
from mergesearch.surrogates._slope_posterior import PRIOR_MEAN, Posterior
from mergesearch.surrogates.design import simplex_shell, with_canonical
from mergesearch.surrogates.gradient_process import GradientProcessSurrogate, _left_out
from mergesearch.surrogates.warp import warp_of

STEP = 1e-4


def equations(points: int, dimension: int, seed: int) -> Equations:
    """All values and slopes at random points, but two slopes."""
    known = np.ones((points, dimension + 1), dtype=bool)
    known[0, 1] = known[-1, -1] = False
    return Equations(np.random.default_rng(seed).random((points, dimension)), *np.nonzero(known))


def shifted(asked: Equations, row: int) -> list[tuple[float, np.ndarray]]:
    """The equation as a difference of values: factors and points."""
    point = asked.x[asked.point[row]]
    if not asked.entry[row]:
        return [(1.0, point)]
    step = STEP * np.eye(asked.x.shape[1])[asked.entry[row] - 1]
    return [(0.5 / STEP, point + step), (-0.5 / STEP, point - step)]


def test_covariances_are_differences_of_scikit_learns() -> None:
    asked, kernel = equations(4, 3, 0), RBF(0.7)
    rows = [shifted(asked, row) for row in range(len(asked.point))]
    expected = [
        [sum(f * g * kernel(p[None], q[None])[0, 0] for f, p in first for g, q in second) for second in rows]
        for first in rows
    ]
    pairs = Pairs.of(asked)
    covariance, by_length = pairs.rbf(0.7)
    np.testing.assert_allclose(covariance, expected, atol=1e-5)
    numeric = (pairs.rbf(0.7 * np.exp(1e-5))[0] - pairs.rbf(0.7 * np.exp(-1e-5))[0]) / 2e-5
    np.testing.assert_allclose(by_length, numeric, atol=1e-7)
    np.testing.assert_allclose(rbf_values(asked.x, asked, 0.7), covariance[asked.is_value], atol=1e-12)


def test_gradient_of_the_posterior() -> None:
    asked, rng = equations(5, 2, 1), np.random.default_rng(1)
    posterior = Posterior.of(asked, rng.normal(size=len(asked.point)))
    at = PRIOR_MEAN + np.array([0.2, -0.3, 0.4, 3.0, 4.0])

    def loss(parameters: np.ndarray) -> float:
        return posterior.loss(parameters)[0]

    numeric = approx_fprime(at, loss, 1e-7)
    np.testing.assert_allclose(posterior.loss(at)[1], numeric, rtol=1e-3, atol=1e-2)


def test_left_out_points_are_predicted_by_the_others() -> None:
    asked, rng = equations(5, 2, 2), np.random.default_rng(2)
    target = rng.normal(size=len(asked.point))
    at = PRIOR_MEAN + np.array([0.2, -0.3, 0.4, 3.0, 4.0])
    missed, deviation = _left_out(asked, *Posterior.of(asked, target).solved(at))
    covariance = np.linalg.inv(cho_solve((Posterior.of(asked, target).solved(at)[0], True), np.eye(len(target))))
    for point in range(5):
        own = asked.point == point
        gain = covariance[np.ix_(own, ~own)] @ np.linalg.inv(covariance[np.ix_(~own, ~own)])
        left = covariance[np.ix_(own, own)] - gain @ covariance[np.ix_(~own, own)]
        assert missed[point] == pytest.approx((target[own] - gain @ target[~own])[0], rel=1e-6)
        assert deviation[point] == pytest.approx(np.sqrt(left[0, 0]), rel=1e-6)


def wave(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A loss that is no quadratic under any warp, and its slopes."""
    inner = x @ np.linspace(0.5, 1.5, x.shape[1])
    z = np.sin(2.0 * inner) + x.sum(axis=1) ** 2
    slopes = 2.0 * np.cos(2.0 * inner)[:, None] * np.linspace(0.5, 1.5, x.shape[1]) + 2.0 * x.sum(axis=1)[:, None]
    curve = warp_of("softplus")
    return curve.metric(z), slopes * curve.slope(z)[:, None]


def test_slopes_are_worth_many_points() -> None:
    """Base, members, average and one more, with slopes, against four times as many points without."""
    held_out = simplex_shell(300, 8, 50)
    truth = wave(held_out)[0]

    def error(count: int, with_slopes: bool) -> float:
        x = with_canonical(simplex_shell(count, 8, 0))
        y, slopes = wave(x)
        fit = GradientProcessSurrogate().fit(x, y, slopes if with_slopes else None)
        return float(np.sqrt(np.mean((fit.predict(held_out) - truth) ** 2)))

    assert error(1, True) < 0.2 * truth.std()
    assert error(1, True) < error(34, False)


def test_interpolates_values_and_slopes() -> None:
    x = with_canonical(simplex_shell(3, 3, 0))
    y, slopes = wave(x)
    fit = GradientProcessSurrogate("softplus").fit(x, y, slopes)
    np.testing.assert_allclose(fit.predict(x), y, atol=2e-2)
    for k in range(3):
        step = 1e-4 * np.eye(3)[k]
        numeric = (fit.predict(x + step) - fit.predict(x - step)) / 2e-4
        np.testing.assert_allclose(numeric, slopes[:, k], atol=0.05)
    assert (fit.leverage(x) <= fit.leverage_limit_).all()
    assert fit.leverage(np.full((1, 3), 4.0))[0] > fit.leverage_limit_


def test_a_merge_that_broke_down_leaves_the_rest() -> None:
    x = np.vstack([with_canonical(simplex_shell(6, 4, 0)), np.full((1, 4), 1.3)])
    y, slopes = wave(x)
    y[-1], slopes[-1] = 50.0, 40.0
    held_out = simplex_shell(300, 4, 50)
    truth = wave(held_out)[0]
    fit = GradientProcessSurrogate().fit(x, y, slopes)
    assert np.sqrt(np.mean((fit.predict(held_out) - truth) ** 2)) < 0.15 * truth.std()


def test_intervals_cover_draws_of_the_process() -> None:
    covered = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        x, held_out = with_canonical(simplex_shell(10, 2, seed)), simplex_shell(64, 2, 100 + seed)
        # Random Fourier features: a draw of an RBF process of length 0.5, with its slopes.
        waves, phases, heights = rng.normal(size=(2, 400)) / 0.5, rng.uniform(0, 2 * np.pi, 400), rng.normal(size=400)
        draw = lambda c: np.cos(c @ waves + phases) @ heights / np.sqrt(200)  # noqa: B023, E731
        slopes = -(np.sin(x @ waves + phases) * heights) @ waves.T / np.sqrt(200)
        fit = GradientProcessSurrogate("identity").fit(x, draw(x), slopes)
        low, high = fit.interval(held_out).T
        covered.append(((low <= draw(held_out)) & (draw(held_out) <= high)).mean())
    assert 0.85 <= np.mean(covered) <= 0.98


def test_the_warp_has_the_greatest_evidence() -> None:
    x = with_canonical(simplex_shell(8, 3, 0))
    z, dz = x @ np.array([1.0, -2.0, 0.5]) + (x**2).sum(axis=1), np.array([1.0, -2.0, 0.5]) + 2 * x
    log = GradientProcessSurrogate().fit(x, np.exp(3 * z), 3 * dz * np.exp(3 * z)[:, None])
    assert log.warp_.name == "log"
    bare = GradientProcessSurrogate().fit(x, z - 3.0, dz)
    assert bare.warp_.name == "identity"


def test_refusals() -> None:
    x = with_canonical(simplex_shell(2, 2, 0))
    with pytest.raises(InputError, match=r"slopes have the shape \(2,\), X has \(6, 2\)"):
        GradientProcessSurrogate().fit(x, x[:, 0], np.zeros(2))
    with pytest.raises(InputError, match="warp 'softplus' has no value for 0; take 'identity', or 'auto'"):
        GradientProcessSurrogate("softplus").fit(x, x[:, 0], x)
