"""Scrambled Sobol points: even coverage of the space, the robust design when nothing is known yet."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from .history import FloatArray, History
from .searcher import Searcher, generator


class Sobol(Searcher):
    """Trial n gets point n of one Sobol sequence that is scrambled by the run's seed (Owen 1998)."""

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
        """Return the point of this trial's number, float64, `dimension`; past losses decide nothing."""
        low, high = history.space.bounds.T
        if not history.space.dimension:
            return np.empty(0)
        # Scrambled by the seed alone: points of one sequence are even together, those of many sequences are not.
        sequence = qmc.Sobol(history.space.dimension, rng=generator(self.seed, 0))
        if history.number:  # SciPy cannot fast-forward by nothing
            sequence.fast_forward(history.number)
        return np.asarray(np.clip(low + sequence.random(1)[0] * (high - low), low, high), dtype=np.float64)
