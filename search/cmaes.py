"""CMA-ES: learns the shape of one objective around its best region; for 5 to 100 dimensions and enough trials."""

from __future__ import annotations

import numpy as np
from cmaes import CMA

from ..errors import InputError
from .history import FloatArray, History
from .pareto import deb_order
from .searcher import Searcher


class Cmaes(Searcher):
    """Covariance matrix adaptation (Hansen 2016, https://arxiv.org/abs/1604.00772), replayed from the history.

    Coordinates run from 0 to 1 between the bounds. The best baseline is the first mean (the middle of the space where
    there is none). The trials after the baselines, in runs of `population`, are the generations; a trial that failed
    is replaced by the next. Floors rank by Deb's rules.

    Args:
        seed: seed of the run.
        population: trials per generation; 4 + 3·ln(dimension), rounded down, where left out.
        sigma: first standard deviation, as a part of each coordinate's range.

    Raises:
        InputError: the population is smaller than 4 (below, no covariance is learned), or sigma is not positive.
    """

    multi_objective = False

    def __init__(self, seed: int = 0, population: int | None = None, sigma: float = 1 / 6) -> None:
        super().__init__(seed)
        if (population is not None and population < 4) or not sigma > 0:
            raise InputError(f"population is {population} and sigma {sigma}; give at least 4, and more than 0")
        self.population, self.sigma = population, sigma

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
        """Draw x, float64, `dimension`, from the distribution that the finished generations lead to."""
        low, high = history.space.bounds.T
        if not history.space.dimension:
            return np.empty(0)
        points = (history.x - low) / (high - low)
        rank = np.argsort(deb_order(history))  # CMA-ES uses losses by their order only
        start = history.baselines
        mean = points[np.argmin(rank[:start])] if start else np.full(len(low), 0.5)
        unit = np.tile([0.0, 1.0], (len(low), 1))
        optimiser = CMA(mean, self.sigma, unit, seed=int(rng.integers(2**32)), population_size=self.population)
        size = optimiser.population_size
        for first in range(start, len(points) - size + 1, size):
            generation = range(first, first + size)
            optimiser.tell([(points[row], float(rank[row])) for row in generation])
        return np.asarray(np.clip(low + optimiser.ask() * (high - low), low, high), dtype=np.float64)
