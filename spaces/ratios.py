"""Ratios in [0, 1] with a given weighted mean: the nearest ones, the directions that keep it, and how far they lead."""

from __future__ import annotations

import numpy as np

from .table import FloatArray

_BISECTIONS = 80  # from there on the interval is narrower than a rounding error, whatever the weights


def onto_mean(ratios: FloatArray, mean: float, weights: FloatArray) -> FloatArray:
    """The nearest point to `ratios` with 0 ≤ r ≤ 1 and Σ w·r = mean·Σ w: r = clip(ratios - τ·w) for one τ.

    Args:
        ratios: any numbers, float64, `groups`.
        mean: in [0, 1].
        weights: positive, float64, `groups`.

    Returns:
        Float64, `groups`; the ratios themselves where they fulfil both to rounding.
    """
    budget = mean * weights.sum()
    if abs(weights @ ratios - budget) <= 1e-13 * weights.sum() and ratios.min() >= 0.0 and ratios.max() <= 1.0:
        return ratios
    low, high = float(np.min((ratios - 1.0) / weights)), float(np.max(ratios / weights))
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if weights @ np.clip(ratios - middle * weights, 0.0, 1.0) > budget:
            low = middle
        else:
            high = middle
    return np.clip(ratios - 0.5 * (low + high) * weights, 0.0, 1.0)


def mean_directions(weights: FloatArray) -> FloatArray:
    """Orthonormal basis of all directions with Σ w·u = 0, float64, `groups x groups - 1` (Householder's reflection).

    Column k is group k + 1 and a little of every other, so that its coordinate can be read as that group's own.
    """
    unit = weights / np.linalg.norm(weights)
    normal = unit.copy()
    normal[0] += 1.0
    reflection = np.eye(len(unit)) - np.outer(normal, normal) * (2.0 / (normal @ normal))
    return np.asarray(reflection[:, 1:])


def reach(direction: FloatArray, weights: FloatArray, mean: tuple[float, float]) -> float:
    """Largest u·(r - mean) over all feasible ratios: a fractional knapsack, filled by falling gain per weight."""
    gain = direction - direction.sum() * weights / weights.sum()  # u·(r - mean), as the mean is w·r / Σ w
    budget = np.clip(weights[gain > 0].sum() / weights.sum(), *mean) * weights.sum()
    order = np.argsort(-gain / weights)
    filled = np.clip((budget - (np.cumsum(weights[order]) - weights[order])) / weights[order], 0.0, 1.0)
    return float(gain[order] @ filled)
