"""NSGA-II: the standard genetic search for a front of two or three objectives."""

from __future__ import annotations

from optuna.samplers import NSGAIISampler
from optuna.samplers.nsgaii import PolynomialMutation

from ._generations import BoundedBlend, Generations


class Nsga2(Generations):
    """Non-dominated sorting with crowding distance (Deb et al. 2002, https://doi.org/10.1109/4235.996017).

    Crossover is BLX-alpha, which in tens of trials gains more than the paper's SBX; mutation is polynomial, as in the
    paper. Floors are kept by Deb's rules.
    """

    def sampler(self, seed: int) -> NSGAIISampler:
        """Return Optuna's NSGA-II."""
        return NSGAIISampler(
            seed=seed, population_size=self.population, crossover=BoundedBlend(), mutation=PolynomialMutation()
        )
