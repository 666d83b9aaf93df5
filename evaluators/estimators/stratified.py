"""Stratified: the mean of each stratum, weighted by its share of all samples."""

from __future__ import annotations

import numpy as np

from ..racing.strata import FloatArray, IntArray, Strata
from .estimator import Estimate, Estimator

_PRIOR = 8.0  # samples that what is expected of a variance counts for; a few equal values say little of it


class Stratified(Estimator):
    """The mean by strata of the members' right and wrong answers; unbiased where every stratum was visited."""

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """Weigh every stratum by its size, with the finite-population correction of each."""
        return stratified_mean(self.strata, visited, values, expected_variance(self.references, values))


def stratified_mean(strata: Strata, visited: IntArray, values: FloatArray, spread: float) -> Estimate:
    """Stratified estimate of a mean over all samples (Cochran 1977, Sampling techniques, chapter 5).

    The variance of a stratum is shrunk towards that within all strata, and this towards `spread`. A stratum without
    samples is taken to be like the others, with the variance of a single draw.

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


def expected_variance(references: FloatArray, values: FloatArray) -> float:
    """Variance of a sample's score to expect: the references' one, or of the values where there are none."""
    return float(references.var() if references.size else values.var())
