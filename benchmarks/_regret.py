"""How far a set of scored candidates stays behind the best known: regret over preferences, and IGD+."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
PREFERENCES = 100


@dataclass(frozen=True)
class Scale:
    """Losses as parts of the way from the base to the best single member: 1 at the base, 0 at that member.

    Attributes:
        base: losses of the base, `objectives`.
        single: the lowest loss of any single member, per objective, `objectives`.
    """

    base: FloatArray
    single: FloatArray

    def __call__(self, losses: FloatArray) -> FloatArray:
        """Normalised losses, `trials x objectives`."""
        return (losses - self.single) / np.where(self.base > self.single, self.base - self.single, 1.0)


def preferences(objectives: int, seed: int = 0, count: int = PREFERENCES) -> FloatArray:
    """Random weights that add up to 1, uniform on the simplex, float64, `count x objectives`."""
    return np.random.default_rng([seed, objectives]).dirichlet(np.ones(objectives), count)


def utilities(losses: FloatArray, weights: FloatArray) -> dict[str, FloatArray]:
    """Linear and Chebyshev loss of every candidate for every preference, `trials x preferences` each.

    Chebyshev with the single members as the ideal point: the largest weighted loss, times the number of objectives so
    that both are of one size.
    """
    return {
        "linear": losses @ weights.T,
        "Chebyshev": losses.shape[1] * (losses[:, None, :] * weights[None]).max(axis=2),
    }


def regrets(losses: FloatArray, best: FloatArray, weights: FloatArray) -> dict[str, float]:
    """Mean over preferences of what the best of `losses` misses against the best of `best` (normalised losses)."""
    ours, theirs = utilities(losses, weights), utilities(best, weights)
    return {kind: float((ours[kind].min(axis=0) - theirs[kind].min(axis=0)).mean()) for kind in ours}


def igd_plus(losses: FloatArray, reference: FloatArray) -> float:
    """Mean distance from the reference front to what `losses` dominate (Ishibuchi et al. 2015, by moocore)."""
    return float(moocore.igd_plus(losses, ref=reference))


def non_dominated(losses: FloatArray) -> FloatArray:
    """The non-dominated rows, once each."""
    return np.unique(losses[moocore.is_nondominated(losses)], axis=0)
