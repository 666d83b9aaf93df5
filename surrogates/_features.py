"""The features of a quadratic, in which its coefficients are the constant, the slope and the curvature themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def parameters(dimension: int) -> int:
    """Number of coefficients of a quadratic in N variables, P = (N + 1)(N + 2)/2."""
    return (dimension + 1) * (dimension + 2) // 2


def quadratic_features(x: FloatArray) -> FloatArray:
    """1, cᵢ, and cᵢcⱼ for i ≤ j (halved on the diagonal): `points x N` → `points x P`."""
    first, second = np.triu_indices(x.shape[1])
    products = x[:, first] * x[:, second] * np.where(first == second, 0.5, 1.0)
    return np.hstack([np.ones((len(x), 1)), x, products])


def quadratic_slopes(x: FloatArray) -> FloatArray:
    """Derivatives of `quadratic_features` by each coefficient: `points x N` → `points x N x P`."""
    points, dimension = x.shape
    first, second = np.triu_indices(dimension)
    slopes = np.zeros((points, dimension, parameters(dimension)))
    slopes[:, np.arange(dimension), 1 + np.arange(dimension)] = 1.0
    column = 1 + dimension + np.arange(len(first))
    slopes[:, first, column] = x[:, second]
    slopes[:, second, column] = x[:, first]  # on the diagonal both say cᵢ, the derivative of cᵢ²/2
    return slopes


def unpack(coefficients: FloatArray, dimension: int) -> tuple[float, FloatArray, FloatArray]:
    """Constant, slope `N` and symmetric curvature `N x N` from the coefficients, `P`."""
    curvature = np.zeros((dimension, dimension))
    first, second = np.triu_indices(dimension)
    curvature[first, second] = curvature[second, first] = coefficients[1 + dimension :]
    return float(coefficients[0]), coefficients[1 : 1 + dimension], curvature
