"""Stratified: the mean of each stratum, weighted by its share of all samples."""

from __future__ import annotations

import numpy as np

from ..racing.strata import FloatArray, IntArray, Strata
from .estimator import Estimate, Estimator

_PRIOR = 1.0  # weight of the variance over all strata within each, in samples


class Stratified(Estimator):
    """The mean by strata of the members' right and wrong answers; unbiased where every stratum was visited."""

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """Weigh every stratum by its size, with the finite-population correction of each."""
        spread = float(self.references.var()) if self.references.size else 0.25
        return stratified_mean(self.strata, visited, values, spread)


def stratified_mean(strata: Strata, visited: IntArray, values: FloatArray, spread: float) -> Estimate:
    """Stratified estimate of a mean over all samples (Cochran 1977, Sampling techniques, chapter 5).

    A few equal values say little of the variance of a stratum, so it is shrunk towards that within all strata, and
    this towards `spread`, each as if by `_PRIOR` further samples. A stratum without samples is taken to be like the
    others, with the variance of a single draw.

    Args:
        strata: of the task.
        visited: positions, int64, `visited`; at random within each stratum.
        values: on them, float64, `visited`.
        spread: variance to expect before any value is seen, in squared units of the values.
    """
    sizes, owners = strata.sizes, strata.numbers[visited]
    counts = np.bincount(owners, minlength=len(sizes))
    seen = np.maximum(counts, 1)
    means = np.bincount(owners, values, len(sizes)) / seen
    squares = np.bincount(owners, (values - means[owners]) ** 2, len(sizes))
    within = (squares.sum() + _PRIOR * spread) / (np.maximum(counts - 1, 0).sum() + _PRIOR)
    variances = (squares + _PRIOR * within) / (seen - 1 + _PRIOR)
    weights, known = sizes / sizes.sum(), counts > 0
    means[~known] = weights[known] @ means[known] / weights[known].sum()
    variances[~known] = max(spread, within)
    error = np.sqrt((weights**2 * variances / seen) @ (1.0 - counts / sizes))
    return Estimate(float(weights @ means), float(error))
