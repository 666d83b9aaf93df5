"""Designs: where to evaluate first, so that a quadratic is determined and the region of interest is covered."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import qmc

from ..errors import InputError
from ._features import quadratic_features

FloatArray = NDArray[np.float64]


def box(count: int, low: ArrayLike, high: ArrayLike, seed: int) -> FloatArray:
    """Scrambled Sobol points between low and high, `N` each; float64, `count x N`.

    Raises:
        InputError: low and high have different lengths, or low is above high.
    """
    least, most = (np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in (low, high))
    if least.shape != most.shape or (least > most).any():
        raise InputError(f"low is {least.tolist()}, high {most.tolist()}; give one of each per coefficient, low ≤ high")
    return np.asarray(least + (most - least) * _sobol(count, len(least), seed))


def simplex_shell(count: int, dimension: int, seed: int, scale: tuple[float, float] = (0.2, 1.3)) -> FloatArray:
    """Scrambled Sobol points c = s·d with d ~ Dirichlet(1, …, 1) and s ~ U(scale), float64, `count x dimension`.

    Merges worth having lie there: the sum of the coefficients near one, whatever their number.

    Raises:
        InputError: scale is not an increasing pair of non-negative numbers.
    """
    low, high = scale
    if not 0.0 <= low <= high:
        raise InputError(f"scale is {scale}; give 0 ≤ low ≤ high")
    unit = _sobol(count, dimension + 1, seed)
    lengths = -np.log1p(-unit[:, 1:])  # exponential; their shares are Dirichlet(1, …, 1)
    shares = lengths / lengths.sum(axis=1, keepdims=True)
    return np.asarray((low + (high - low) * unit[:, :1]) * shares, dtype=np.float64)


def canonical(dimension: int) -> FloatArray:
    """The base, every member alone, and their uniform average, float64, `dimension + 2 x dimension`."""
    return np.vstack([np.zeros(dimension), np.eye(dimension), np.full(dimension, 1.0 / dimension)])


def with_canonical(points: FloatArray) -> FloatArray:
    """The canonical points, then the given ones, `points x N`."""
    return np.vstack([canonical(points.shape[1]), points])


def rank_and_condition(points: FloatArray) -> tuple[int, float]:
    """Rank of the quadratic features of the points, `points x N`, and their condition number.

    A rank below (N + 1)(N + 2)/2 leaves the quadratic undetermined; the condition number is infinite then.
    """
    features = quadratic_features(points)
    singular = np.linalg.svd(features, compute_uv=False)
    rank = int(np.linalg.matrix_rank(features))
    return rank, float(singular[0] / singular[-1]) if rank == features.shape[1] else float("inf")


def _sobol(count: int, dimension: int, seed: int) -> FloatArray:
    """The first points of a scrambled Sobol sequence, in the unit cube without its upper faces."""
    powers = int(np.ceil(np.log2(max(count, 1))))
    return np.asarray(qmc.Sobol(dimension, rng=np.random.default_rng(seed)).random_base2(powers)[:count])
