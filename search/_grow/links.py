"""How much an objective falls where the loss that steers it falls: one line through the trials nearby."""

from __future__ import annotations

import numpy as np

from ..history import FloatArray

_WIDTH = 0.5  # of the neighbourhood, as a ratio of losses
_LEAST = 0.02  # of the steepest link, which no link falls below: noise can turn a flat one round


def link_slopes(losses: FloatArray, objectives: FloatArray, row: int) -> FloatArray:
    """Rise of each objective with its loss about one trial, positive, `objectives`, from local lines (Cleveland 1979).

    Args:
        losses: that steer the objectives, `trials x objectives`.
        objectives: smaller is better, `trials x objectives`.
        row: the trial.
    """
    found = np.array([_slope(*pair, row) for pair in zip(losses.T, objectives.T, strict=True)])
    steepest = float(found.max())
    return np.maximum(found, _LEAST * steepest) if steepest > 0 else np.ones(len(found))


def _slope(loss: FloatArray, objective: FloatArray, row: int) -> float:
    size = np.abs(loss) + abs(loss[row])
    apart = np.divide(2.0 * (loss - loss[row]), size, out=np.zeros_like(loss), where=size > 0)
    weights = np.exp(-0.5 * (apart / _WIDTH) ** 2)
    weights /= weights.sum()
    from_mean = loss - weights @ loss
    spread = float(weights @ from_mean**2)
    return float(weights @ (from_mean * objective)) / spread if spread > 0 else 0.0
