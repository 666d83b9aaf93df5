"""Gradient-enhanced quadratic: a quadratic before a warp, fitted to values and slopes alike."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from ._features import quadratic_features, quadratic_slopes, unpack
from ._linear import column_scale, solve
from ._quadratic import QuadraticFit
from ._surrogate import Surrogate
from .warp import FloatArray, Warp

RIDGES = (1e-8, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2)
SLOPE_WEIGHTS = (0.5, 0.05, 5.0)


@dataclass(frozen=True)
class SlopedFit(QuadraticFit):
    """A quadratic fitted to values and slopes; `error` is the weighted latent error of values left out."""

    slope_weight: float
    ridge: float
    error: float


class GradientQuadraticSurrogate(Surrogate):
    """z = e + b'c + c'Ac/2 from N + 1 equations per point: its value, and its slopes by dz = dy·dz/dy.

    Slopes at N + 1 points in general position determine the curvature. Fewer determine it along the points' hull
    alone (the values add nothing there but a constant: f(q) - f(p) is the mean of both slopes times q - p), and the
    ridge takes the rest. Points far above the best weigh less: a merge that has broken down says little of the others.

    Args:
        warp: name of a warp, or `auto`: the one with the least error on points left out, value and slopes together.
        slope_weight: weight of a slope's equation beside a value's; `auto` takes 0.5, 0.05 or 5 by leaving points out.
        ridge: strength on standardised features, relative to the sum of the weights; `auto` by leaving points out.

    Attributes:
        constant_, linear_, curvature_: e, b `N`, A `N x N` symmetric, float64.
        slope_weight_, ridge_: those in use.
        warp_, leverage_limit_, n_features_in_: as in every surrogate.
    """

    def __init__(self, warp: str = "auto", slope_weight: float | str = "auto", ridge: float | str = "auto") -> None:
        self.warp, self.slope_weight, self.ridge = warp, slope_weight, ridge

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
        fits = [self._best(x, measured, known, warp) for warp in self._candidates(measured, accuracy=False)]
        chosen = self._choose(fits, x, measured, _nearness(measured))
        self.constant_, self.linear_, self.curvature_ = unpack(chosen.linear.coefficients, x.shape[1])
        self.slope_weight_, self.ridge_ = chosen.slope_weight, chosen.ridge
        return self

    def _best(self, x: FloatArray, y: FloatArray, slopes: FloatArray, warp: Warp) -> SlopedFit:
        ratios = SLOPE_WEIGHTS if self.slope_weight == "auto" else (float(self.slope_weight),)
        ridges = RIDGES if self.ridge == "auto" else (float(self.ridge),)
        z = warp.latent(y)
        targets = np.hstack([z[:, None], slopes / warp.slope(z)[:, None]])
        fits = (_fitted(x, targets, warp, ratio, ridge) for ratio, ridge in product(ratios, ridges))
        return min(fits, key=lambda one: one.error)


def _nearness(y: FloatArray) -> FloatArray:
    """Weight of each point, (1 + (distance above the best)²)⁻², in units of the lower quartile of the distances."""
    above = y - y.min()
    unit = np.quantile(above[above > 0], 0.25) if (above > 0).any() else 1.0
    return np.asarray((1.0 + (above / unit) ** 2) ** -2, dtype=np.float64)


def _fitted(x: FloatArray, targets: FloatArray, warp: Warp, ratio: float, ridge: float) -> SlopedFit:
    points, dimension = x.shape
    known = np.isfinite(targets)
    weights = _nearness(targets[:, 0])
    each = weights[:, None] * np.append(1.0, np.full(dimension, ratio)) * known
    features = np.concatenate([quadratic_features(x)[:, None], quadratic_slopes(x)], axis=1)
    penalty = ridge * each.sum() * column_scale(features[:, 0], weights) ** 2
    flat = features.reshape(each.size, -1)
    linear = solve(flat, np.where(known, targets, 0.0).ravel(), each.ravel(), penalty)
    own = linear.leverage_rows.reshape(points, dimension + 1, -1)
    room = np.linalg.inv((1.0 + 1e-9) * np.eye(dimension + 1) - own @ own.transpose(0, 2, 1))
    whitened = linear.residuals.reshape(each.shape) * np.sqrt(each)
    missed = (room @ whitened[:, :, None])[:, :, 0]  # each point's residuals had its N + 1 equations been left out
    dispersion = max(float((whitened * missed).sum() / known.sum()), 1e-24)
    return SlopedFit(
        warp=warp,
        left_out=targets[:, 0] - missed[:, 0] / np.sqrt(weights),
        studentised=np.abs(missed[:, 0]) / np.sqrt(dispersion * room[:, 0, 0]),
        linear=linear,
        dispersion=dispersion,
        weight=float(np.median(weights)),
        slope_weight=ratio,
        ridge=ridge,
        error=float((missed[:, 0] ** 2).sum()),
    )
