"""LCSC: evolves the coefficients of one training run's snapshots, with a child of the best at every trial."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ..errors import InputError
from ..spaces.canonical import soup
from ..spaces.ema import ema_rates, ema_row
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from .history import FloatArray, History
from .pareto import deb_order
from .searcher import Searcher


class Lcsc(Searcher):
    """Steady-state evolution of linear combinations of snapshots (LCSC, Liu et al. 2024, arXiv:2404.02241).

    Search an `affine` space with wide bounds: coefficients sum to one and may be negative. The archive is the whole
    history, from which nothing is ever evicted. It starts with what is there (a run's baselines), filled up to
    `population` with EMAs and the last snapshots. Every further trial is one child of the best `parents`: of two of
    them by crossover, or of one, and then always mutated. Floors rank by Deb's rules.

    The paper's authors have not published their search. Sources of the defaults are the evolutionary searches that the
    same group did publish: USF (github.com/thu-nics/USF) and EEP (github.com/imagination-research/EEP).

    Args:
        seed: seed of the run.
        population: trials before the first child (ours).
        parents: how many of the best may be parents, each with equal chance (USF).
        crossover: chance of two parents, every gene from either with equal chance (USF, EEP).
        mutation: chance of every gene to be changed (EEP); one always is.
        sigma: standard deviation of a change, in units of the coefficients (ours, the best of 0.005 to 0.065; EEP's is
            0.065 and USF's 0.03, of other quantities).
        steps: training step of each member, which the EMAs depend on; evenly spaced where left out.

    Raises:
        InputError: a number that is out of range.
    """

    multi_objective = False

    def __init__(
        self,
        seed: int = 0,
        population: int = 10,
        parents: int = 15,
        crossover: float = 0.3,
        mutation: float = 0.25,
        sigma: float = 0.01,
        steps: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if population < 1 or parents < 1:
            raise InputError(f"population is {population} and parents {parents}; give at least 1")
        if not (0 <= crossover <= 1 and 0 <= mutation <= 1 and sigma > 0):
            raise InputError(
                f"crossover is {crossover}, mutation {mutation} and sigma {sigma}; give chances from 0 to 1, and a "
                "positive step"
            )
        self.population, self.parents = population, parents
        self.crossover, self.mutation, self.sigma = crossover, mutation, sigma
        self.steps = steps

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
        """Return the next seed, or else a child of the best, float64, `dimension`.

        Raises:
            InputError: `steps` are not one for each member.
        """
        if len(history) < self.population:
            for x in self._seeds(history.space):
                if not history.tried(x):
                    return x
        low, high = history.space.bounds.T
        if not len(history):
            return np.asarray(rng.uniform(low, high), dtype=np.float64)
        return np.clip(self._mutated(self._crossed(history, rng), rng), low, high)

    def _seeds(self, space: Space) -> Iterator[FloatArray]:
        """EMAs, slowest first, then the snapshots, last first: those that the space contains."""
        steps = range(space.members) if self.steps is None else self.steps
        if len(steps) != space.members:
            raise InputError(f"{len(steps)} steps given for {space.members} members; give one for each, oldest first")
        tables = [CoefficientTable.tied(ema_row(steps, rate), space.groups) for rate in reversed(ema_rates(steps))]
        tables += [soup([index], space.groups, space.members) for index in reversed(range(space.members))]
        return (x for x in map(space.vector, tables) if x is not None)

    def _crossed(self, history: History, rng: np.random.Generator) -> FloatArray:
        """A copy of one of the best, or a crossover of two, float64, `dimension`."""
        best = history.x[deb_order(history)[: self.parents]]
        first, second = best[rng.integers(len(best), size=2)]
        if rng.random() >= self.crossover:
            return np.array(first)
        return np.asarray(np.where(rng.random(len(first)) < 0.5, first, second), dtype=np.float64)

    def _mutated(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        if not len(x):
            return x
        changed = rng.random(len(x)) < self.mutation
        changed[rng.integers(len(x))] = True
        return x + changed * rng.normal(0.0, self.sigma, len(x))
