"""Optuna's genetic samplers as searchers: generations and parents that follow from the history alone."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from optuna.samplers import BaseGASampler
from optuna.samplers.nsgaii import BaseCrossover
from optuna.study import Study

from ..errors import InputError
from ._replay import Replayed
from .history import FloatArray, History
from .searcher import generator


class Generations(Replayed):
    """Cuts the history into generations of `population` trials; baselines are the first members of the first one.

    Parents of each generation are selected once, by a sampler seeded from (seed, generation): NSGA-III draws random
    numbers to do so, and the trial at which a run resumes must not change them.

    Args:
        seed: seed of the run.
        population: trials per generation; of 8, 12, 16 and 24, 12 did best in 60 trials on 8 dimensions.

    Raises:
        InputError: the population is smaller than 2.
    """

    def __init__(self, seed: int = 0, population: int = 12) -> None:
        super().__init__(seed)
        if population < 2:
            raise InputError(f"population is {population}; give at least 2 trials per generation")
        self.population = population
        self._selected: tuple[Study | None, int] = None, 0  # generations whose successors' parents a study remembers

    @abstractmethod
    def sampler(self, seed: int) -> BaseGASampler:
        """Return a fresh genetic sampler that draws from `seed`."""

    def marks(self, row: int) -> dict[str, Any]:
        """The generation of a trial, under the key by which Optuna's genetic samplers find it."""
        return {f"{type(self.sampler(0)).__name__}:generation": row // self.population}

    def _replay(self, history: History) -> Study:
        study = super()._replay(history)
        if study is not self._selected[0]:
            self._selected = study, 0
        complete = len(history) // self.population
        for generation in range(self._selected[1] + 1, complete + 1):
            seed = int(generator(self.seed, generation, 1).integers(2**32))
            self.sampler(seed).get_parent_population(study, generation)  # which the study remembers
        self._selected = study, complete
        return study


class BoundedBlend(BaseCrossover):
    """BLX-alpha with α = 0.5 (Eshelman & Schaffer 1993), each coordinate uniform on what the bounds leave of its blend.

    Optuna's own draws all coordinates anew until none lies outside, which with hundreds of them never comes true.
    """

    n_parents = 2

    def crossover(
        self, parents_params: FloatArray, rng: np.random.RandomState, study: Study, search_space_bounds: FloatArray
    ) -> FloatArray:
        """Blend the parents, float64, `2 x dimension`, into a child, `dimension` (called by Optuna)."""
        low, high = search_space_bounds.T
        least, most = parents_params.min(axis=0), parents_params.max(axis=0)
        reach = 0.5 * (most - least)
        return np.asarray(rng.uniform(np.maximum(least - reach, low), np.minimum(most + reach, high)), dtype=np.float64)
