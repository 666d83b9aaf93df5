"""Pareto tools: which trials are non-dominated, how good a front is, and which trial is best when one is wanted."""

from __future__ import annotations

import moocore
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .history import FloatArray, History


def front(losses: FloatArray, feasible: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Mark the non-dominated trials; trials with equal losses are on the front together.

    Args:
        losses: smaller is better, float64, `trials x objectives`.
        feasible: whether each trial keeps its floors, `trials`; an infeasible trial neither stands on the front nor
            dominates another. All are feasible where it is left out.

    Returns:
        Whether each trial is on the front, `trials`.

    Raises:
        InputError: a loss is NaN.
    """
    candidates = np.ones(len(losses), dtype=np.bool_) if feasible is None else np.array(feasible, dtype=np.bool_)
    if np.isnan(losses).any():
        row = int(np.flatnonzero(np.isnan(losses).any(axis=1))[0])
        raise InputError(f"losses of trial {row} are {losses[row].tolist()}; leave trials without a score out")
    if candidates.any():
        candidates[candidates] = moocore.is_nondominated(losses[candidates], keep_weakly=True)
    return candidates


def hypervolume(losses: FloatArray, reference: FloatArray) -> float:
    """Volume that the trials dominate, up to the reference point (exact; Guerreiro et al. 2021, by moocore).

    Args:
        losses: smaller is better, float64, `trials x objectives`.
        reference: losses that are just not acceptable, `objectives`; a trial that is not below it adds nothing.
    """
    inside = losses[np.all(losses < reference, axis=1)]
    return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0


def deb_order(history: History) -> NDArray[np.intp]:
    """Rows of the history from best to worst by mean loss, `trials`; infeasible ones last, least violation first.

    Source: Deb 2000, An efficient constraint handling method for genetic algorithms, rules 1 to 3.
    """
    return np.lexsort([history.losses.mean(axis=1), history.total_violation])


def best_row(history: History) -> int:
    """The best row of the history by `deb_order`; the history must not be empty."""
    return int(deb_order(history)[0])
