"""What every surrogate keeps: scikit-learn's own checks, and one law for both scales, intervals and leverage."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks

from mergesearch.surrogates._surrogate import Surrogate
from mergesearch.surrogates.design import simplex_shell, with_canonical
from mergesearch.surrogates.gaussian_process import GaussianProcessSurrogate
from mergesearch.surrogates.gradient_process import GradientProcessSurrogate
from mergesearch.surrogates.gradient_quadratic import GradientQuadraticSurrogate
from mergesearch.surrogates.quadratic import QuadraticSurrogate

QUICK = [QuadraticSurrogate(), GradientQuadraticSurrogate(), GradientProcessSurrogate()]
ALL = [*QUICK, GaussianProcessSurrogate()]

# The four corners of a square, four times over, do not determine a quadratic: that is refused on purpose.
DEFICIENT = "the check's design has rank 4 of 6, which an unpenalised quadratic refuses"
EXCEPTIONS = {"check_sample_weights_shape": DEFICIENT, "check_sample_weights_not_overwritten": DEFICIENT}


def exceptions(estimator: Any) -> dict[str, str]:
    return EXCEPTIONS if isinstance(estimator, QuadraticSurrogate) else {}


@parametrize_with_checks(QUICK, expected_failed_checks=exceptions)  # type: ignore[untyped-decorator]
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([GaussianProcessSurrogate()])  # type: ignore[untyped-decorator]
def test_scikit_learns_checks_of_the_process(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.fixture(params=ALL, ids=lambda one: type(one).__name__)
def surrogate(request: pytest.FixtureRequest) -> Surrogate:
    x = with_canonical(simplex_shell(30, 3, 0))
    fitted: Surrogate = clone(request.param).fit(x, losses(x))
    return fitted


def losses(x: np.ndarray) -> np.ndarray:
    return np.asarray(0.5 + ((x - 0.3) ** 2).sum(axis=1) + 0.02 * np.sin(5 * x[:, 0]))


def test_predict_is_the_warped_latent(surrogate: Surrogate) -> None:
    x = simplex_shell(20, 3, 1)
    latent, deviation = surrogate.latent(x, return_std=True)
    metric, metric_deviation = surrogate.predict(x, return_std=True)
    np.testing.assert_array_equal(latent, surrogate.latent(x))
    np.testing.assert_array_equal(metric, surrogate.predict(x))
    np.testing.assert_array_equal(metric, surrogate.warp_.metric(latent))
    np.testing.assert_allclose(metric_deviation, surrogate.warp_.slope(latent) * deviation)


def test_intervals_grow_with_the_level_about_the_prediction(surrogate: Surrogate) -> None:
    x = simplex_shell(20, 3, 1)
    narrow, wide, mean = surrogate.interval(x, 0.5), surrogate.interval(x, 0.95), surrogate.predict(x)
    assert (wide[:, 0] <= narrow[:, 0]).all()
    assert (narrow[:, 0] <= mean).all()
    assert (mean <= narrow[:, 1]).all()
    assert (narrow[:, 1] <= wide[:, 1]).all()


def test_the_fitted_points_lie_inside_the_region(surrogate: Surrogate) -> None:
    x = with_canonical(simplex_shell(30, 3, 0))
    assert (surrogate.leverage(x) <= surrogate.leverage_limit_ * (1 + 1e-9)).all()
    assert surrogate.leverage(np.full((1, 3), 6.0))[0] > surrogate.leverage_limit_


def test_predicts_held_out_losses(surrogate: Surrogate) -> None:
    x = simplex_shell(200, 3, 1)
    assert np.sqrt(np.mean((surrogate.predict(x) - losses(x)) ** 2)) < 0.1 * losses(x).std()


def test_a_second_fit_gives_the_same_bits(surrogate: Surrogate) -> None:
    x = with_canonical(simplex_shell(30, 3, 0))
    np.testing.assert_array_equal(clone(surrogate).fit(x, losses(x)).latent(x), surrogate.latent(x))
