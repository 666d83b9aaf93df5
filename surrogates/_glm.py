"""Warped linear models: least squares on the latent scale, and Fisher scoring for accuracies of known trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._linear import LinearFit, column_scale, solve
from .warp import FloatArray, Warp

STEPS = 10
NOMINAL = 1000.0  # samples that an accuracy of unknown support is taken to be the mean of
SETTLED = 1e-8
FLAT = 1e-10  # a slope of the warp, or a distance from its limits, that counts as none
FAINT = 1e-5  # ridge that keeps separated accuracies from running to infinity
FARTHEST = 2.0  # latent units that a point moves in one step: a full step from bad fits may leap to where all is flat


@dataclass(frozen=True)
class Sample:
    """Measured values of one metric.

    Attributes:
        y: the metric, `points`.
        trials: number of samples that each accuracy is the mean of, `points`; None where unknown or no accuracy.
        weights: weight of each point, `points`.
    """

    y: FloatArray
    trials: FloatArray | None
    weights: FloatArray

    @property
    def is_accuracy(self) -> bool | None:
        """True where trials are known; None where they are not, and y may be anything."""
        return None if self.trials is None else True

    def counts(self, warp: Warp) -> FloatArray | None:
        """Trials of each point under this warp, nominal ones where they are unknown; None where y is no accuracy."""
        if self.trials is None and not warp.bounded:
            return None
        return np.full(len(self.y), NOMINAL) if self.trials is None else self.trials

    def equations(self, warp: Warp) -> tuple[FloatArray, FloatArray]:
        """Latent target and weight of each point from the values alone, `points` each.

        Half a success and half a failure are added to each accuracy (Haldane 1956), so that none lies at infinity.
        """
        counts = self.counts(warp)
        if counts is None:
            return warp.latent(self.y), self.weights
        z = warp.latent(self._inside(counts, warp))
        return z, self.weights * counts * information(warp, z, counts)

    def scored(self, warp: Warp, z: FloatArray, counts: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Target and weight of each point in one step of Fisher scoring from z, `points` each."""
        step = (self._inside(counts, warp) - warp.metric(z)) / np.maximum(warp.slope(z), FLAT)
        mean = np.clip(warp.metric(z), FLAT, 1.0 - FLAT)
        return z + step, self.weights * counts * np.maximum(warp.slope(z), FLAT) ** 2 / (mean * (1.0 - mean))

    def _inside(self, counts: FloatArray, warp: Warp) -> FloatArray:
        low = warp.low if warp.bounded else 0.0
        half = 0.5 / (counts + 1.0)
        return np.maximum((self.y * counts + 0.5) / (counts + 1.0), low + (1.0 - low) * half)


@dataclass(frozen=True)
class WarpedFit:
    """A linear model on the latent scale, its last working targets and weights, and the scoring steps it took."""

    linear: LinearFit
    target: FloatArray
    precision: FloatArray
    steps: int


def information(warp: Warp, z: FloatArray, trials: FloatArray | float) -> FloatArray:
    """Fisher information that one sample of an accuracy carries about its latent value z, `points`."""
    edge = 0.5 / (np.asarray(trials) + 1.0)
    mean = np.clip(warp.metric(z), edge, 1.0 - edge)
    return np.maximum(warp.slope(z) ** 2 / (mean * (1.0 - mean)), 1e-12)


def ridge_penalty(features: FloatArray, precision: FloatArray, ridge: float) -> FloatArray:
    """Penalty of each column under a ridge on standardised columns, relative to the sum of the weights, `columns`."""
    return np.asarray(ridge * precision.sum() * column_scale(features, precision) ** 2)


def warped_fit(features: FloatArray, sample: Sample, warp: Warp, ridge: float) -> WarpedFit:
    """Fit features, `points x columns`, to a sample: in closed form, then at most ten steps where trials are known.

    Source: McCullagh and Nelder 1989, section 2.5 (iterative weighted least squares; Newton's method for the logit).
    """
    target, precision = sample.equations(warp)
    scored = sample.trials is not None and warp.bounded
    penalty = ridge_penalty(features, precision, max(ridge, FAINT) if scored else ridge)
    fit = WarpedFit(solve(features, target, precision, penalty), target, precision, 0)
    if sample.trials is None or not scored:
        return fit
    z = features @ fit.linear.coefficients
    for step in range(1, STEPS + 1):
        target, precision = sample.scored(warp, z, sample.trials)
        fit = WarpedFit(solve(features, target, precision, penalty), target, precision, step)
        move = features @ fit.linear.coefficients - z
        if np.abs(move).max() < SETTLED:
            break
        z = z + np.clip(move, -FARTHEST, FARTHEST)
    return fit
