"""Weighted ridge regression by one QR decomposition: coefficients, covariance and leave-one-out in closed form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFit:
    """Solution of min Σ wᵢ (tᵢ - fᵢ'β)² + Σ pⱼ βⱼ².

    Attributes:
        coefficients: β, `columns`.
        root: R⁻¹, where R'R is the matrix of the normal equations, `columns x columns`; the covariance is root·root'
            times the dispersion.
        residuals: t - Fβ, `rows`.
        hat: how much the prediction of each row moves with its own target, `rows`.
        leverage_rows: F·root·√w, `rows x columns`; hat is its squared row norms, and blocks of its Gram matrix serve
            to leave groups of rows out.
    """

    coefficients: FloatArray
    root: FloatArray
    residuals: FloatArray
    hat: FloatArray
    leverage_rows: FloatArray

    @property
    def room(self) -> FloatArray:
        """1 - hat, `rows`: a residual divided by it is what the row's left-out prediction misses."""
        return np.maximum(1.0 - self.hat, 1e-9)


def solve(features: FloatArray, target: FloatArray, weights: FloatArray, penalty: FloatArray) -> LinearFit:
    """Solve by QR of the weighted rows and the penalty's rows, columns scaled to one.

    Args:
        features: F, `rows x columns`, of full column rank together with the penalty.
        target: t, `rows`.
        weights: w, positive, `rows`.
        penalty: p, not negative, `columns`.
    """
    rows = features * np.sqrt(weights)[:, None]
    stacked = np.vstack([rows, np.diag(np.sqrt(penalty))])
    scale = np.sqrt((stacked**2).sum(axis=0))
    q, r = qr(stacked / scale, mode="economic")
    wide = np.concatenate([target * np.sqrt(weights), np.zeros(len(penalty))])
    root = solve_triangular(r, np.eye(len(r))) / scale[:, None]
    coefficients = root @ (q.T @ wide)
    own = q[: len(rows)]
    return LinearFit(coefficients, root, target - features @ coefficients, (own**2).sum(axis=1), own)


def column_scale(features: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted standard deviation of each column, `columns`; zero for the first, the constant, which no ridge shrinks.

    A column that does not vary counts as one, so that a ridge takes it to zero.
    """
    share = weights / weights.sum()
    centred = features - share @ features
    spread = np.sqrt(share @ centred**2)
    spread[1:][spread[1:] <= 1e-12 * np.abs(features[:, 1:]).max(axis=0, initial=0.0)] = 1.0
    spread[0] = 0.0
    return np.asarray(spread, dtype=np.float64)
