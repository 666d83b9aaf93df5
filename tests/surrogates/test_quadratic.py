"""The quadratic: exact recovery, identifiability, the binomial fit, leave-one-out and intervals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from mergesearch.errors import InputError
from mergesearch.surrogates._features import quadratic_features
from mergesearch.surrogates.design import box
from mergesearch.surrogates.quadratic import QuadraticSurrogate
from mergesearch.surrogates.warp import warp_of

TRIALS = 1000
Latent = Callable[[np.ndarray], np.ndarray]


def cube(count: int, dimension: int, seed: int) -> np.ndarray:
    return box(count, np.zeros(dimension), np.ones(dimension), seed)


def bump(dimension: int, task: int, rng: np.random.Generator) -> Latent:
    """Latent accuracy of a task: concave, with its peak of 0.75 to 0.97 near the task's own member."""
    centre = 0.9 * np.eye(dimension)[task] + 0.05 * rng.normal(size=dimension)
    turned = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    curvature = (turned * rng.uniform(1.0, 5.0, dimension)) @ turned.T
    peak = logit(rng.uniform(0.75, 0.97))
    return lambda c: peak - 0.5 * np.einsum("ni,ij,nj->n", c - centre, curvature, c - centre)


def determination(predicted: np.ndarray, true: np.ndarray) -> float:
    return float(1.0 - ((predicted - true) ** 2).sum() / ((true - true.mean()) ** 2).sum())


def fitted_bumps(
    dimension: int, count: int, seeds: int
) -> list[tuple[QuadraticSurrogate, Latent, np.ndarray, np.ndarray]]:
    """Up to four tasks per seed: the fit, the latent truth, the design and the measured accuracies."""
    out = []
    for seed in range(seeds):
        rng = np.random.default_rng([dimension, count, seed])
        x = cube(count, dimension, seed)
        for task in range(min(dimension, 4)):
            truth = bump(dimension, task, rng)
            y = rng.binomial(TRIALS, expit(truth(x))) / TRIALS
            out.append((QuadraticSurrogate("logit", trials=TRIALS).fit(x, y), truth, x, y))
    return out


@pytest.mark.parametrize(("dimension", "count"), zip(range(1, 9), [3, 6, 10, 15, 21, 28, 36, 45], strict=True))
def test_exact_recovery(dimension: int, count: int) -> None:
    assert QuadraticSurrogate.parameters(dimension) == count
    rng = np.random.default_rng(dimension)
    x = cube(2 * count, dimension, dimension)
    half = rng.normal(size=(dimension, dimension))
    constant, slope, curvature = rng.normal(), rng.normal(size=dimension), half + half.T
    y = constant + x @ slope + 0.5 * np.einsum("ni,ij,nj->n", x, curvature, x)
    fit = QuadraticSurrogate("identity").fit(x, y)
    assert fit.constant_ == pytest.approx(constant, abs=1e-10)
    np.testing.assert_allclose(fit.linear_, slope, atol=1e-10)
    np.testing.assert_allclose(fit.curvature_, curvature, atol=1e-10)
    with pytest.raises(InputError, match=rf"{count - 1} points determine {count - 1} of the {count} coefficients"):
        QuadraticSurrogate("identity", ridge=0.0).fit(x[: count - 1], y[: count - 1])


@given(st.integers(1, 5), st.integers(0, 2**16), st.sampled_from(["logit", "probit", "cloglog", "log", "softplus"]))
@settings(max_examples=60, deadline=None)
def test_recovery_before_a_warp(dimension: int, seed: int, warp: str) -> None:
    """Exact before the warps of losses; accuracies have pseudo-counts and a faint ridge."""
    curve, columns = warp_of(warp), QuadraticSurrogate.parameters(dimension)
    coefficients = np.random.default_rng(seed).uniform(-0.5, 0.5, columns)
    x, held_out = cube(2 * columns, dimension, seed), cube(50, dimension, seed + 1)
    y = curve.metric(quadratic_features(x) @ coefficients)
    fit = QuadraticSurrogate(warp, trials=1e9 if curve.bounded else None).fit(x, y)
    expected = quadratic_features(held_out) @ coefficients
    np.testing.assert_allclose(fit.latent(held_out), expected, atol=5e-3 if curve.bounded else 1e-9)


def test_corners_of_the_cube_are_refused() -> None:
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * 8), axis=-1).reshape(-1, 8)
    x = corners[np.random.default_rng(0).permutation(256)[:90]]
    with pytest.raises(InputError, match=r"90 points determine 37 of the 45 coefficients .* or give a ridge"):
        QuadraticSurrogate("identity").fit(x, x.sum(axis=1))
    assert np.isfinite(QuadraticSurrogate("identity", ridge=1e-3).fit(x, x.sum(axis=1)).predict(x)).all()


@pytest.mark.parametrize(("dimension", "count", "least"), [(4, 30, 0.97), (8, 90, 0.95), (8, 250, 0.99)])
def test_binomial_fit(dimension: int, count: int, least: float) -> None:
    held_out = np.random.default_rng(9).random((1000, dimension))
    for fit, truth, _, _ in fitted_bumps(dimension, count, seeds=3):
        assert determination(fit.predict(held_out), expit(truth(held_out))) >= least
        assert fit.steps_ <= 10
        assert 0.5 < fit.dispersion_ < 2.0


@pytest.mark.slow
def test_negative_control_least_squares_from_ones_fails() -> None:
    """What the paper's released code does: the sigmoid saturates at its start, and the fit stops at once."""
    held_out = np.random.default_rng(9).random((1000, 8))

    def model(x: np.ndarray, *coefficients: float) -> np.ndarray:
        return np.asarray(expit(quadratic_features(x) @ np.array(coefficients)))

    failed = 0
    for fit, truth, x, y in fitted_bumps(8, 250, seeds=2):
        found, _ = curve_fit(model, x, y, p0=np.ones(45))
        expected = expit(truth(held_out))
        failed += determination(model(held_out, *found), expected) < 0.5
        assert determination(fit.predict(held_out), expected) > 0.99
    assert failed >= 6  # of 8


@pytest.mark.parametrize(("dimension", "count"), [(2, 12), (3, 20), (4, 30), (8, 90)])
def test_intervals_cover_what_is_measured(dimension: int, count: int) -> None:
    rng = np.random.default_rng(5)
    held_out = rng.random((1000, dimension))
    covered = []
    for fit, truth, _, _ in fitted_bumps(dimension, count, seeds=16 // dimension + 4):
        y = rng.binomial(TRIALS, expit(truth(held_out))) / TRIALS
        low, high = fit.interval(held_out).T
        covered.append(((low <= y) & (y <= high)).mean())
    assert 0.85 <= np.mean(covered) <= 0.95


def test_intervals_widen_where_the_form_is_wrong() -> None:
    """A kink is no quadratic: the closed-form deviation alone would leave out most of the truth."""
    x = cube(60, 2, 0)
    kink = np.abs(x[:, 0] - 0.5) + np.abs(x[:, 1] - 0.3)
    fit = QuadraticSurrogate("identity").fit(x, kink)
    held_out = cube(500, 2, 1)
    truth = np.abs(held_out[:, 0] - 0.5) + np.abs(held_out[:, 1] - 0.3)
    mean, deviation = fit.predict(held_out, return_std=True)
    low, high = fit.interval(held_out).T
    assert (np.abs(truth - mean) < 1.645 * deviation).mean() < 0.7
    assert 0.85 <= ((low <= truth) & (truth <= high)).mean() <= 0.97


def test_the_binomial_fit_is_logistic_regression() -> None:
    """Scikit-learn's, on successes and failures as weighted rows, half a sample added to each."""
    rng = np.random.default_rng(3)
    x = cube(20, 2, 3)
    y = rng.binomial(50, expit(2 * x[:, 0] - x[:, 1] ** 2)) / 50
    fit = QuadraticSurrogate("logit", trials=50).fit(x, y)
    rows = np.vstack([quadratic_features(x)] * 2)
    share = (y * 50 + 0.5) / 51
    reference = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10, max_iter=10_000)
    reference.fit(rows, np.repeat([1, 0], 20), sample_weight=np.concatenate([share, 1 - share]))
    ours = np.concatenate([[fit.constant_], fit.linear_, fit.curvature_[np.triu_indices(2)]])
    np.testing.assert_allclose(ours, reference.coef_[0], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_leave_one_out_is_what_refitting_gives(ridge: float) -> None:
    rng = np.random.default_rng(4)
    x = cube(14, 2, 4)
    y = rng.uniform(1.0, 2.0, 14)
    # The ridge is relative to the weights and the spread of the columns: take it small enough not to feel one point.
    fit = QuadraticSurrogate("softplus", ridge=ridge).fit(x, y)
    refitted = []
    for out in range(14):
        keep = np.arange(14) != out
        refitted.append(QuadraticSurrogate("softplus", ridge=ridge).fit(x[keep], y[keep]).latent(x[[out]])[0])
    np.testing.assert_allclose(
        fit._fit.left_out, refitted, rtol=1e-8 if not ridge else 0.2, atol=1e-8 if not ridge else 0.05
    )


def test_leverage_is_the_hat_matrix() -> None:
    x = cube(20, 3, 1)
    fit = QuadraticSurrogate("identity").fit(x, x.sum(axis=1))
    features = quadratic_features(x)
    np.testing.assert_allclose(fit.leverage(x), np.diag(features @ np.linalg.pinv(features)), atol=1e-10)
    assert fit.leverage_limit_ == pytest.approx(fit.leverage(x).max())
    assert fit.leverage(np.full((1, 3), 3.0))[0] > fit.leverage_limit_


def test_ridge_is_chosen_below_twice_the_parameters() -> None:
    rng = np.random.default_rng(0)
    x = cube(12, 4, 0)
    y = x @ np.array([1.0, -1.0, 0.5, 0.0]) + 0.01 * rng.normal(size=12)
    fit = QuadraticSurrogate("identity").fit(x, y)
    assert fit.ridge_ > 0.0
    held_out = rng.random((200, 4))
    assert determination(fit.predict(held_out), held_out @ np.array([1.0, -1.0, 0.5, 0.0])) > 0.8


def test_accuracies_of_none_and_all_stay_finite() -> None:
    x = cube(14, 2, 0)
    y = (x.sum(axis=1) > 1.0).astype(float)  # separated: without pseudo-counts the coefficients would have no limit
    for chance in (0.0, 0.1):
        fit = QuadraticSurrogate("logit", trials=100, chance=chance).fit(x, y)
        assert np.abs(fit.latent(x)).max() < 200.0
        np.testing.assert_allclose(fit.predict(x), np.where(y > 0, 1.0, chance), atol=0.2)


def test_more_trials_weigh_more() -> None:
    x = np.repeat(cube(8, 1, 0), 2, axis=0)
    y = np.tile([0.2, 0.8], 8)
    fit = QuadraticSurrogate("logit").fit(x, y, trials=np.tile([10, 10_000], 8))
    np.testing.assert_allclose(fit.predict(x), 0.8, atol=0.01)


def test_the_warp_is_chosen_by_the_data() -> None:
    x = cube(60, 2, 0)
    z = 1.0 + 2.0 * x[:, 0] - 3.0 * x[:, 1] + 4.0 * x[:, 0] * x[:, 1]
    assert QuadraticSurrogate().fit(x, 10 * np.exp(z)).warp_.name == "log"
    assert QuadraticSurrogate().fit(x, 10 * z).warp_.name == "identity"
    assert QuadraticSurrogate().fit(x, np.logaddexp(0.0, 3 * z)).warp_.name == "softplus"


def test_refusals() -> None:
    x = cube(12, 2, 0)
    with pytest.raises(InputError, match=r"warp 'logit' has no value for 1\.5; take 'identity', or 'auto'"):
        QuadraticSurrogate("logit").fit(x, np.full(12, 1.5))
    with pytest.raises(InputError, match="level is 90; give the wanted coverage, between 0 and 1"):
        QuadraticSurrogate().fit(x, x[:, 0]).interval(x, level=90)
