"""The process from values: what it follows, binomial noise, calibrated intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.gaussian_process import GaussianProcessRegressor

from mergesearch.surrogates.design import box, simplex_shell
from mergesearch.surrogates.gaussian_process import GaussianProcessSurrogate, ProcessFit
from mergesearch.surrogates.quadratic import QuadraticSurrogate


def bumps(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-4 * (x[:, 0] - 0.4) ** 2) + np.sin(3 * x[:, 1]) - 1.0)


def test_follows_what_is_no_quadratic() -> None:
    x, held_out = box(40, [0, 0], [1, 1], 0), box(400, [0, 0], [1, 1], 1)

    def error(surrogate: GaussianProcessSurrogate | QuadraticSurrogate) -> float:
        return float(
            np.abs(surrogate.fit(x, expit(bumps(x)), trials=10_000).predict(held_out) - expit(bumps(held_out))).max()
        )

    assert error(GaussianProcessSurrogate("logit")) < 0.5 * error(QuadraticSurrogate("logit"))


def test_idle_coefficients_get_long_lengths() -> None:
    x = box(40, [0, 0, 0], [1, 1, 1], 0)
    fit = GaussianProcessSurrogate("identity").fit(x, bumps(x))
    assert fit.lengths_[2] > 5 * fit.lengths_[:2].max()


def test_intervals_cover_what_is_measured() -> None:
    covered = []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        x, held_out = box(40, [0, 0], [1, 1], seed), rng.random((300, 2))
        fit = GaussianProcessSurrogate("logit", trials=500).fit(x, rng.binomial(500, expit(bumps(x))) / 500)
        y = rng.binomial(500, expit(bumps(held_out))) / 500
        low, high = fit.interval(held_out).T
        covered.append(((low <= y) & (y <= high)).mean())
    assert 0.85 <= np.mean(covered) <= 0.95


def test_leave_one_out_is_what_the_same_kernel_gives() -> None:
    x = box(15, [0, 0], [1, 1], 0)
    z = bumps(x) + 0.05 * np.random.default_rng(0).normal(size=15)
    fit = GaussianProcessSurrogate("identity").fit(x, z)
    inner = fit._fit
    assert isinstance(inner, ProcessFit)
    for out in range(15):
        keep = np.arange(15) != out
        rest = GaussianProcessRegressor(inner.process.kernel_, alpha=inner.process.alpha[keep], optimizer=None)
        rest.fit(x[keep], (z[keep] - inner.centre) / inner.spread)
        expected = inner.centre + inner.spread * rest.predict(x[[out]])[0]
        assert inner.left_out[out] == pytest.approx(expected, abs=1e-5)


def test_leverage_grows_away_from_the_points() -> None:
    x = simplex_shell(30, 3, 0)
    fit = GaussianProcessSurrogate("identity").fit(x, bumps(x))
    assert (fit.leverage(x) <= fit.leverage_limit_).all()
    assert fit.leverage(np.full((1, 3), 5.0))[0] > fit.leverage_limit_
