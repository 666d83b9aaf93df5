"""Successive halving by one number: asynchronous, and stopping rather than pausing."""

from __future__ import annotations

import math

import numpy as np

from .strata import FloatArray


def falls_behind(loss: float, rivals: FloatArray, keep: float = 0.5, least: int = 4) -> bool:
    """Whether a candidate stops here: it is not among the best of those that came so far.

    Source: Li et al. 2020, A system for massively parallel hyperparameter tuning (ASHA), in its stopping variant;
    candidates come one after another, and each is judged among those before it.

    Args:
        loss: the candidate's, smaller is better.
        rivals: losses of earlier candidates by the same metric, float64, in any order.
        keep: share of the candidates that may go on.
        least: number of rivals below which nobody is stopped.
    """
    if len(rivals) < least:
        return False
    places = max(1, math.floor(keep * (len(rivals) + 1)))
    return int(np.count_nonzero(rivals < loss)) >= places
