"""Random search: independent uniform vectors, the baseline of every other searcher."""

from __future__ import annotations

import numpy as np

from .history import FloatArray, History
from .searcher import Searcher


class Random(Searcher):
    """Draws x uniformly within the bounds (Bergstra & Bengio 2012, https://jmlr.org/papers/v13/bergstra12a.html)."""

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
        """Draw x, float64, `dimension`; the history decides nothing but the space."""
        low, high = history.space.bounds.T
        return np.asarray(rng.uniform(low, high), dtype=np.float64)
