"""Expected hypervolume gain: which of several candidates, of whom a part is known, the front would gain most by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..estimators.estimator import Estimate
from .strata import FloatArray

_POINTS = 2**13
_REACH = 2.0  # standard errors of an estimate: beyond them no candidate is expected


class HypervolumeGain:
    """What each candidate is expected to add to the volume that a front dominates.

    The losses of a candidate are taken to be independent and normal around their estimates. Its gain is the integral,
    over all points that the front does not dominate, of the probability that the candidate does; here the mean over
    points spread evenly (Sobol) on the box between the best that is in reach and `worst`.

    Source: Emmerich, Giannakoglou and Naujoks 2006, Single- and multiobjective evolutionary optimization assisted by
    Gaussian random field metamodels (the expected improvement of the hypervolume).

    Args:
        front: losses of those who are known in full, float64, `incumbents x objectives`, at least one.
        worst: losses beyond which nothing is gained, `objectives`, above those of the front.
        candidates: number of each candidate -> estimates of its losses, one per objective.
    """

    def __init__(self, front: FloatArray, worst: FloatArray, candidates: Mapping[int, Sequence[Estimate]]) -> None:
        from scipy.stats.qmc import Sobol

        corners = [[one.value - _REACH * one.error for one in each] for each in candidates.values()]
        best = np.vstack([front, *corners]).min(axis=0)
        self._points = best + (worst - best) * Sobol(len(worst), rng=0).random(_POINTS)
        self._chances: dict[int, FloatArray] = {}
        for losses in front:
            self.confirm(losses)
        for number, estimates in candidates.items():
            self.update(number, estimates)

    def update(self, number: int, estimates: Sequence[Estimate]) -> None:
        """Take new estimates of a candidate."""
        from scipy.special import ndtr

        values = np.array([one.value for one in estimates])
        errors = np.maximum([one.error for one in estimates], np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            self._chances[number] = ndtr((self._points - values) / errors).prod(axis=1)

    def drop(self, number: int) -> None:
        """Leave a candidate out."""
        del self._chances[number]

    def confirm(self, losses: FloatArray) -> None:
        """Take these losses, `objectives`, into the front."""
        left = (self._points < losses).any(axis=1)
        self._points = self._points[left]
        self._chances = {number: one[left] for number, one in self._chances.items()}

    def best(self) -> tuple[int, float] | None:
        """The candidate that is expected to gain most, and its gain over the volume of the front; None without any.

        The one of the lowest number where several gain the same.
        """
        if not self._chances:
            return None
        gains = {number: float(one.sum()) for number, one in self._chances.items()}
        number = max(gains, key=lambda one: (gains[one], -one))
        return number, gains[number] / max(_POINTS - len(self._points), 1)
