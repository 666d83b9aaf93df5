"""The parameters of a gradient-enhanced process: their log posterior and its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.linalg import cho_solve, cholesky

from ._slope_kernel import Equations, FloatArray, Pairs

# Log of: length scale in units of the coefficients; variances of the RBF part, of the trend's slopes, of a value's
# noise and of a slope's, in units of the values' variance. Evaluations on fixed samples repeat exactly: little noise.
PRIOR_MEAN = np.log([1.0, 1.0, 2.0, 1e-4, 1e-4])
PRIOR_VARIANCE = np.array([0.5, 4.0, 4.0, 4.0, 4.0])
BOUNDS = [(-3.0, 3.0), (-9.0, 6.0), (-9.0, 7.0), (-16.0, 1.0), (-16.0, 3.0)]
CONSTANT = 100.0  # variance of the constant: any level is as likely as another
JITTER = 1e-9


@dataclass(frozen=True)
class Posterior:
    """Density of the parameters given targets; matrices are `equations x equations`.

    Attributes:
        pairs: pairs of the equations with themselves.
        trend: covariance under slopes of unit variance.
        level: covariance under an unknown constant.
        is_value: which equations are values, `equations`.
        target: measured values and slopes, `equations`.
    """

    pairs: Pairs
    trend: FloatArray
    level: FloatArray
    is_value: FloatArray
    target: FloatArray

    @classmethod
    def of(cls, equations: Equations, target: FloatArray) -> Self:
        """Prepare what does not depend on the parameters."""
        directions, is_value = equations.directions, equations.is_value.astype(np.float64)
        level = CONSTANT * np.outer(is_value, is_value)
        return cls(Pairs.of(equations), directions @ directions.T, level, is_value, target)

    def solved(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Cholesky factor of the covariance, and the inverse covariance times the targets."""
        return self._factorised(parameters, self.pairs.rbf(float(np.exp(parameters[0])))[0])

    def loss(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Negative log posterior without constants, and its gradient (Rasmussen and Williams 2006, eq. 5.9)."""
        _, radial, slope, value_noise, slope_noise = np.exp(parameters)
        k, by_length = self.pairs.rbf(float(np.exp(parameters[0])))
        root, weights = self._factorised(parameters, k)
        inner = cho_solve((root, True), np.eye(len(root))) - np.outer(weights, weights)
        own, is_value = np.diag(inner), self.is_value
        gradient = np.array(
            [
                radial * (inner * by_length).sum(),
                radial * (inner * k).sum(),
                slope * (inner * self.trend).sum(),
                value_noise * (own @ is_value),
                slope_noise * (own @ (1.0 - is_value)),
            ]
        )
        away = parameters - PRIOR_MEAN
        value = 0.5 * self.target @ weights + np.log(np.diag(root)).sum() + 0.5 * (away**2 / PRIOR_VARIANCE).sum()
        return float(value), 0.5 * gradient + away / PRIOR_VARIANCE

    def _factorised(self, parameters: FloatArray, k: FloatArray) -> tuple[FloatArray, FloatArray]:
        _, radial, slope, value_noise, slope_noise = np.exp(parameters)
        noise = np.where(self.is_value > 0, value_noise, slope_noise) + JITTER
        root = cholesky(radial * k + slope * self.trend + self.level + np.diag(noise), lower=True)
        return root, cho_solve((root, True), self.target)
