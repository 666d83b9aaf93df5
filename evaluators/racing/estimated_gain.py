"""Estimated gain, with one objective: which of several candidates seems the best, and by how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..estimators.estimator import Estimate
from .strata import FloatArray


class EstimatedGain:
    """By how much each candidate's estimated loss is below the least that is known in full.

    Args:
        front: losses of those who are known in full, float64, `incumbents x 1`; with none, all gain infinitely much.
        candidates: number of each candidate -> the estimate of its loss, alone in a sequence.
    """

    def __init__(self, front: FloatArray, candidates: Mapping[int, Sequence[Estimate]]) -> None:
        self._least = float(front.min(initial=np.inf))
        self._losses = {number: estimates[0].value for number, estimates in candidates.items()}

    def update(self, number: int, estimates: Sequence[Estimate]) -> None:
        """Take a new estimate of a candidate."""
        self._losses[number] = estimates[0].value

    def drop(self, number: int) -> None:
        """Leave a candidate out."""
        del self._losses[number]

    def confirm(self, losses: FloatArray) -> None:
        """Take this loss, an array of one, among those known in full."""
        self._least = min(self._least, float(losses[0]))

    def best(self) -> tuple[int, float] | None:
        """The candidate that seems best, and its gain, negative where it seems worse; None without any candidate."""
        if not self._losses:
            return None
        number = min(self._losses, key=lambda one: (self._losses[one], one))
        return number, self._least - self._losses[number]
