"""What evaluating a point is worth: the uncertainty near the predicted front, or the expected gain in hypervolume."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..history import FloatArray
from ..searcher import generator
from .spread import normalised

_DRAWS = 16
_DIRECTIONS = 64
_NEAR = 0.05  # normalised loss by which a point may miss the front and still count by a third

Losses = Callable[[FloatArray], FloatArray]


def uncertainty(losses: Losses, mean: FloatArray, std: FloatArray, front: FloatArray, known: FloatArray) -> FloatArray:
    """Standard deviation of the objectives, summed, less the farther a point's optimistic value is from the front.

    Args:
        losses: from latent values to losses.
        mean: latent predictions of the candidates, `points x objectives`.
        std: their standard deviations, `points x objectives`.
        front: predicted losses of the front, `others x objectives`.
        known: losses of the trials, `trials x objectives`.

    Returns:
        Not negative, `points`.
    """
    low, high = normalised(losses(mean - std), known)[0], normalised(losses(mean + std), known)[0]
    target = normalised(front, known)[0]
    if len(target) > 512:
        target = target[:: len(target) // 512]
    missed = np.array([(row - target).min(axis=1).max() for row in low])
    return np.asarray(((high - low) / 2.0).sum(axis=1) * np.exp(-np.maximum(missed, 0.0) / _NEAR), dtype=np.float64)


def expected_hypervolume(losses: Losses, mean: FloatArray, std: FloatArray, known: FloatArray) -> FloatArray:
    """Expected hypervolume improvement, up to a constant factor, `points`.

    Hypervolume is the mean over directions λ of the largest minᵢ (max(0, rᵢ - yᵢ)/λᵢ)^k of the front (Zhang and
    Golovin 2020, https://arxiv.org/abs/2006.04655, lemma 5), for k objectives: so its improvement costs as little
    for eight of them as for two. The reference point r is the worst known loss of each objective.

    Args:
        losses: from latent values to losses.
        mean: latent predictions of the candidates, `points x objectives`.
        std: their standard deviations, `points x objectives`.
        known: losses of the trials, `trials x objectives`.
    """
    rng, objectives = generator(0, 0), mean.shape[1]
    directions = np.abs(rng.standard_normal((_DIRECTIONS, objectives)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    noise = rng.standard_normal((_DRAWS, 1, objectives))
    drawn = losses(mean + std * noise)
    scaled, of_known = normalised(drawn.reshape(-1, objectives), known)
    best = _volumes(of_known, directions).max(axis=0)
    each = _volumes(scaled, directions).reshape(_DRAWS, len(mean), _DIRECTIONS)
    return np.asarray(np.maximum(each - best, 0.0).mean(axis=(0, 2)), dtype=np.float64)


def _volumes(scaled: FloatArray, directions: FloatArray) -> FloatArray:
    """How far the box between each point and the reference reaches in each direction, to the power of k."""
    reach = np.maximum(1.0 - scaled, 0.0)[:, None, :] / directions
    return np.asarray(reach.min(axis=2) ** scaled.shape[1], dtype=np.float64)
