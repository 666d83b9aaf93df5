"""Which points of a predicted front to evaluate: few, spread over what people may prefer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..history import FloatArray
from .niches import reference_directions

_EDGE = 0.02  # weight of an objective that a preference does not care for


def spread(losses: FloatArray, known: FloatArray, count: int) -> NDArray[np.intp]:
    """Rows whose losses improve most on what is known, over preferences spread evenly; greedy, best first.

    A preference takes the point with the least weighted Chebyshev distance from the best of each objective; this is
    greedy selection by the R2 indicator (Hansen and Jaszkiewicz 1998). Rows that improve on nothing more follow in the
    order of their distance from those taken.

    Args:
        losses: of the points to choose from, smaller is better, `points x objectives`.
        known: of what is evaluated, `trials x objectives`.
        count: how many rows to take, at most.
    """
    scaled, of_known = normalised(losses, known)
    directions = np.maximum(reference_directions(losses.shape[1]), _EDGE)
    distances, best = chebyshev(scaled, directions), chebyshev(of_known, directions).min(axis=0)
    taken: list[int] = []
    nearest = np.full(len(scaled), np.inf)
    while len(taken) < min(count, len(scaled)):
        gains = np.maximum(best - distances, 0.0).sum(axis=1)
        gains[taken] = -1.0
        nearest[taken] = -1.0
        row = int(gains.argmax()) if gains.max() > 1e-12 or not taken else int(nearest.argmax())
        taken.append(row)
        best = np.minimum(best, distances[row])
        nearest = np.minimum(nearest, np.linalg.norm(scaled - scaled[row], axis=1))
    return np.array(taken, dtype=np.intp)


def normalised(losses: FloatArray, known: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Both, with 0 for the best that either has of each objective and 1 for the worst that is known."""
    best = np.minimum(losses.min(axis=0), known.min(axis=0))
    span = known.max(axis=0) - best
    span = np.where(span > 0, span, 1.0)
    return (losses - best) / span, (known - best) / span


def chebyshev(scaled: FloatArray, weights: FloatArray) -> FloatArray:
    """Weighted distance maxᵢ wᵢ·yᵢ from the ideal, `... x weightings`, of points `... x objectives`."""
    return np.asarray((scaled[..., None, :] * weights).max(axis=-1), dtype=np.float64)
