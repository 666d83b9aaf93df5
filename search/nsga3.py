"""NSGA-III: genetic search for a front of three or more objectives."""

from __future__ import annotations

from optuna.samplers import NSGAIIISampler
from optuna.samplers.nsgaii import PolynomialMutation

from ._generations import BoundedBlend, Generations


class Nsga3(Generations):
    """Non-dominated sorting with reference points (Deb & Jain 2014, https://doi.org/10.1109/TEVC.2013.2281535).

    Crossover is BLX-alpha, which in tens of trials gains more than the paper's SBX; mutation is polynomial, as in the
    paper. Floors are kept by Deb's rules.
    """

    def sampler(self, seed: int) -> NSGAIIISampler:
        """Return Optuna's NSGA-III."""
        return NSGAIIISampler(
            seed=seed, population_size=self.population, crossover=BoundedBlend(), mutation=PolynomialMutation()
        )
