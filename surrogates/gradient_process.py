"""Gradient-enhanced Gaussian process: a process before a warp, conditioned on values and slopes alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import cho_solve, solve_triangular
from scipy.optimize import minimize

from ._slope_kernel import Equations, rbf_values
from ._slope_posterior import BOUNDS, CONSTANT, PRIOR_MEAN, Posterior
from ._surrogate import Fit, Surrogate
from .warp import FloatArray, Warp

FTOL = 1e-4  # of the log posterior: predictions do not move by what is finer
ROWS = 4096  # points predicted at once


@dataclass(frozen=True)
class SlopeProcessFit(Fit):
    """A process under one warp, on targets that were centred and scaled.

    Attributes:
        equations: what was measured.
        parameters: log of length, of the variances of the RBF part, of the trend's slopes, and of the noise.
        root: Cholesky factor of the covariance, `equations x equations`.
        weights: inverse covariance times targets, `equations`.
        centre, spread: mean and standard deviation of the latent values.
        evidence: log density of the measured values and slopes, on the metric scale.
    """

    equations: Equations
    parameters: FloatArray
    root: FloatArray
    weights: FloatArray
    centre: float
    spread: float
    evidence: float

    def moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the latent value, `points` each."""
        parts = [self._moments(x[first : first + ROWS]) for first in range(0, len(x), ROWS)]
        mean, variance = (np.concatenate(one) for one in zip(*parts, strict=True))
        return self.centre + self.spread * mean, self.spread**2 * variance

    def _moments(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        length, radial, slope = np.exp(self.parameters[:3])
        k = radial * rbf_values(x, self.equations, length) + slope * x @ self.equations.directions.T
        k += CONSTANT * self.equations.is_value
        known = solve_triangular(self.root, k.T, lower=True)
        prior = radial + slope * (x**2).sum(axis=1) + CONSTANT
        return k @ self.weights, np.maximum(prior - (known**2).sum(axis=0), 1e-12)

    def noise(self, z: FloatArray) -> FloatArray:
        """Variance of one more measurement of a value, latent, `points`."""
        return np.full(len(z), self.spread**2 * float(np.exp(self.parameters[3])))

    def leverage(self, x: FloatArray) -> FloatArray:
        """Share of the prior variance of the RBF part that the points leave, `points`."""
        return self.moments(x)[1] / (self.spread**2 * float(np.exp(self.parameters[1])))


class GradientProcessSurrogate(Surrogate):
    """An RBF process with a linear trend on the latent scale, given each point's value and its N slopes.

    Where slopes are to be had it is the surrogate to take: it follows what is not quadratic, and a merge that has
    broken down leaves it unmoved elsewhere. Cost: the cube of points times (N + 1).

    Args:
        warp: name of a warp, or `auto`: identity, log or softplus, the one with the greatest evidence.

    Attributes:
        length_: length scale, in units of the coefficients.
        warp_, leverage_limit_, n_features_in_: as in every surrogate.
    """

    def __init__(self, warp: str = "auto") -> None:
        self.warp = warp

    def fit(self, X: ArrayLike, y: ArrayLike, slopes: ArrayLike | None = None) -> Self:
        """Fit to values and slopes.

        Args:
            X: coefficients, `points x N`.
            y: the metric, `points`.
            slopes: ∂y/∂c, `points x N`; NaN where one is unknown; None where all are.

        Raises:
            InputError: the slopes have another shape than X, or the warp has no value for y.
        """
        x, measured = self._measured(X, y)
        known = self._slopes(slopes, x)
        fits = [_fitted(x, measured, known, warp) for warp in self._candidates(measured, accuracy=False)]
        chosen = self._keep(max(fits, key=lambda one: one.evidence), x)
        self.length_ = float(np.exp(chosen.parameters[0]))
        return self


def _fitted(x: FloatArray, y: FloatArray, slopes: FloatArray, warp: Warp) -> SlopeProcessFit:
    z = warp.latent(y)
    rate = warp.slope(z)
    centre, spread = float(z.mean()), float(z.std()) or 1.0
    targets = np.hstack([(z - centre)[:, None], slopes / rate[:, None]]) / spread
    known = np.isfinite(targets)
    equations = Equations(x, *np.nonzero(known))
    posterior = Posterior.of(equations, targets[known])
    found = minimize(posterior.loss, PRIOR_MEAN, jac=True, bounds=BOUNDS, method="L-BFGS-B", options={"ftol": FTOL})
    root, weights = posterior.solved(found.x)
    missed, deviation = _left_out(equations, root, weights)
    return SlopeProcessFit(
        warp=warp,
        left_out=z - spread * missed,
        studentised=np.abs(missed) / deviation,
        equations=equations,
        parameters=found.x,
        root=root,
        weights=weights,
        centre=centre,
        spread=spread,
        evidence=-float(found.fun) - float(known.sum(axis=1) @ np.log(rate * spread)),
    )


def _left_out(equations: Equations, root: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What the other points miss each value by, and the deviation they predict for that; whole points are left out.

    Source: Rasmussen and Williams 2006, eq. 5.12, with the block of a point in place of one entry.
    """
    inverse = cho_solve((root, True), np.eye(len(root)))
    missed, deviation = np.empty(len(equations.x)), np.empty(len(equations.x))
    for point in range(len(equations.x)):
        own = np.flatnonzero(equations.point == point)  # its value comes first
        covariance = np.linalg.inv(inverse[np.ix_(own, own)])
        missed[point], deviation[point] = covariance[0] @ weights[own], np.sqrt(covariance[0, 0])
    return missed, deviation
