"""The Fréchet distance between generated and reference features, with its sampling error, in float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ..statistics.bootstrap import REPLICATES, resamples
from ..statistics.scores import MetricScores

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Gaussian:
    """Mean, float64, `features`, and covariance, float64, `features x features`."""

    mean: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Gaussian:
        """Of features, `samples x features`; a single sample has no spread, its covariance is zero."""
        rows = np.asarray(features, dtype=np.float64)
        mean = rows.mean(axis=0)
        centred = rows - mean
        return cls(mean, centred.T @ centred / max(len(rows) - 1, 1))


class FrechetDistance:
    """|μ − μᵣ|² + tr(Σ + Σᵣ − 2 (R Σ R)^½), with R² = Σᵣ (Heusel et al. 2017, arXiv:1706.08500; Dowson & Landau 1982).

    R Σ R is symmetric, so its root's trace is a sum over real eigenvalues, and R is computed once for all candidates;
    the root of the product Σ Σᵣ takes several times as long and may come out complex.

    The value is too large by about a constant divided by the number of samples: compare values of equally many.
    """

    def __init__(self, reference: Gaussian) -> None:
        """Take the root of the reference's covariance.

        Raises:
            InputError: its mean and covariance do not fit one another, or are not finite.
        """
        mean, covariance = reference.mean, reference.covariance
        if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
            raise InputError(
                f"the reference's mean has shape {mean.shape} and its covariance {covariance.shape}; "
                "give features, and features x features"
            )
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise InputError("the reference's mean or covariance is not finite; check its images and the extractor")
        self.reference = reference
        values, vectors = np.linalg.eigh(covariance)
        self._root = (vectors * np.sqrt(values.clip(min=0.0))) @ vectors.T

    def scores(self, features: NDArray[np.floating]) -> MetricScores:
        """The distance of generated features, `samples x features`, with replicates.

        A replicate adds to the value what a resample changes to first order: the mean of its samples' influence (Efron
        1982, The Jackknife, ch. 6). Recomputing the distance of every resample would take a decomposition each, and
        overstate the error up to threefold where samples are few: the repeated rows of a resample bias it anew.
        """
        rows = np.asarray(features, dtype=np.float64)
        value, influence = self._distance(rows)
        if len(rows) == 1:
            return MetricScores(value, None, np.full(REPLICATES, np.nan))
        return MetricScores(value, None, np.array([value + influence[some].mean() for some in resamples(len(rows))]))

    def _distance(self, rows: FloatArray) -> tuple[float, FloatArray]:
        """The distance, and the influence of each sample on it, `samples`, which have mean zero.

        With g = ∂/∂Σ = 1 − R (R Σ R)^-½ R, a sample x influences it by 2 (μ−μᵣ)·(x−μ) + (x−μ)·g·(x−μ), less the mean.
        """
        own, reference = Gaussian.of(rows), self.reference
        shift = own.mean - reference.mean
        values, vectors = np.linalg.eigh(self._root @ own.covariance @ self._root)
        lengths = np.sqrt(values.clip(min=0.0))
        trace = np.trace(own.covariance) + np.trace(reference.covariance) - 2 * lengths.sum()
        centred = rows - own.mean
        kept = values > values[-1] * np.finfo(np.float64).eps  # the others are zeros, but for rounding
        turned = centred @ (self._root @ vectors[:, kept])
        curved = np.square(centred).sum(axis=1) - (np.square(turned) / lengths[kept]).sum(axis=1)
        return max(float(shift @ shift + trace), 0.0), 2 * centred @ shift + curved - curved.mean()
