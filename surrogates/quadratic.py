"""Quadratic: e + b'c + c'Ac/2 before a warp, as a binomial GLM where trials are known, by least squares otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import _check_sample_weight

from ..errors import InputError
from ._features import quadratic_features, unpack
from ._glm import Sample, WarpedFit, information, ridge_penalty, warped_fit
from ._linear import solve
from ._quadratic import QuadraticFit
from ._surrogate import Surrogate
from .warp import FloatArray, Warp

RIDGES = np.logspace(-8, 1, 19)


@dataclass(frozen=True)
class MeasuredFit(QuadraticFit):
    """A quadratic fitted to values; `trials` scales the noise of an accuracy, None leaves it constant."""

    ridge: float
    steps: int
    trials: float | None

    def noise(self, z: FloatArray) -> FloatArray:
        """Variance of one more measurement, latent, `points`."""
        if self.trials is None:
            return super().noise(z)
        return self.dispersion / (self.trials * information(self.warp, z, self.trials))


class QuadraticSurrogate(Surrogate):
    """z = e + b'c + c'Ac/2, metric = warp(z); (N + 1)(N + 2)/2 parameters (Li et al., MAP, arXiv 2406.07529).

    Accuracies whose `trials` are known are a binomial GLM with quasi-binomial dispersion; other values are warped and
    fitted in closed form.

    Args:
        warp: name of a warp, or `auto`: the one with the least leave-one-out error on the metric scale.
        ridge: strength on standardised features, relative to the sum of the weights; `auto` takes none from twice the
            number of parameters on, and below that the one with the least leave-one-out error.
        trials: number of samples that each y is the mean of; None where it is unknown or y is no accuracy.
        chance: accuracy of guessing, the lower limit of the bounded warps.

    Attributes:
        constant_: e.
        linear_: b, float64, `N`.
        curvature_: A, symmetric, float64, `N x N`.
        ridge_: the ridge in use.
        steps_: Fisher-scoring steps taken, at most ten.
        dispersion_: variance of the residuals, in units of the assumed one.
        warp_, leverage_limit_, n_features_in_: as in every surrogate.
    """

    def __init__(
        self, warp: str = "auto", ridge: float | str = "auto", trials: float | None = None, chance: float = 0.0
    ) -> None:
        self.warp, self.ridge, self.trials, self.chance = warp, ridge, trials, chance

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None, trials: ArrayLike | None = None
    ) -> Self:
        """Fit to measured points.

        Args:
            X: coefficients, `points x N`.
            y: the metric, `points`.
            sample_weight: weight of each point, `points`.
            trials: number of samples of each point, `points`; takes the place of the constructor's.

        Raises:
            InputError: the points do not determine the quadratic and there is no ridge, or the warp has no value for y.
        """
        x, measured = self._measured(X, y)
        weights = _check_sample_weight(sample_weight, x, dtype=np.float64)
        sample = Sample(measured, self._counts(trials, measured), weights)
        features = quadratic_features(x)
        if not self._shrinks(features):
            _refuse_deficient(features, x.shape[1])
        fits = [
            self._fitted(features, sample, warp) for warp in self._candidates(measured, self.chance, sample.is_accuracy)
        ]
        chosen = self._choose(fits, x, measured, weights)
        self.constant_, self.linear_, self.curvature_ = unpack(chosen.linear.coefficients, x.shape[1])
        self.ridge_, self.steps_, self.dispersion_ = chosen.ridge, chosen.steps, chosen.dispersion
        return self

    def _shrinks(self, features: FloatArray) -> bool:
        points, columns = features.shape
        return points < 2 * columns if self.ridge == "auto" else float(self.ridge) > 0.0

    def _fitted(self, features: FloatArray, sample: Sample, warp: Warp) -> MeasuredFit:
        ridge = self._ridge_for(features, sample, warp)
        return _finished(warp, warped_fit(features, sample, warp, ridge), ridge, sample)

    def _ridge_for(self, features: FloatArray, sample: Sample, warp: Warp) -> float:
        if self.ridge != "auto" or not self._shrinks(features):
            return 0.0 if self.ridge == "auto" else float(self.ridge)
        target, precision = sample.equations(warp)

        def left_out(ridge: float) -> float:
            fit = solve(features, target, precision, ridge_penalty(features, precision, ridge))
            return float(precision @ (fit.residuals / fit.room) ** 2)

        return float(min(RIDGES, key=left_out))


def _finished(warp: Warp, fit: WarpedFit, ridge: float, sample: Sample) -> MeasuredFit:
    linear, counts = fit.linear, sample.counts(warp)
    squares = fit.precision * linear.residuals**2 / linear.room  # their mean is the variance that leaving out sees
    dispersion = max(float(squares.mean()), 1e-24)
    return MeasuredFit(
        warp=warp,
        left_out=fit.target - linear.residuals / linear.room,
        studentised=np.sqrt(squares / dispersion),
        linear=linear,
        dispersion=dispersion,
        weight=float(fit.precision.mean()),
        ridge=ridge,
        steps=fit.steps,
        trials=None if counts is None else float(np.median(counts)),
    )


def _refuse_deficient(features: FloatArray, dimension: int) -> None:
    rank, columns = int(np.linalg.matrix_rank(features)), features.shape[1]
    if rank < columns:
        raise InputError(
            f"{len(features)} points determine {rank} of the {columns} coefficients of a quadratic in {dimension} "
            "variables; add points in general position (three levels per axis), or give a ridge"
        )
