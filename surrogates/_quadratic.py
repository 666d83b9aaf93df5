"""What the fits of a quadratic share: moments and leverage from its coefficients and their covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._features import quadratic_features
from ._linear import LinearFit
from ._surrogate import Fit
from .warp import FloatArray


@dataclass(frozen=True)
class QuadraticFit(Fit):
    """A quadratic under one warp.

    Attributes:
        linear: its coefficients and the root of their covariance.
        dispersion: variance of a measurement of weight one.
        weight: a typical weight of a measurement.
    """

    linear: LinearFit
    dispersion: float
    weight: float

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the latent value, `points` each."""
        return quadratic_features(x) @ self.linear.coefficients, self.dispersion * self._spread(x)

    def noise(self, z: FloatArray) -> FloatArray:
        """Variance of one more measurement, latent, `points`."""
        return np.full(len(z), self.dispersion / self.weight)

    def leverage(self, x: FloatArray) -> FloatArray:
        """Leverage of a measurement of typical weight; least squares without a ridge has the hat matrix's diagonal."""
        return self.weight * self._spread(x)

    def _spread(self, x: FloatArray) -> FloatArray:
        return np.asarray(((quadratic_features(x) @ self.linear.root) ** 2).sum(axis=1))
