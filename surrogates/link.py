"""Link: a monotone map from a loss to another metric of the same task, fitted on the evaluated points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator
from scipy.optimize import isotonic_regression
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ..errors import InputError
from ._glm import Sample, warped_fit
from .warp import FloatArray, Warp, warp_of

SHARES = (0.0, 0.5, 0.9)
FOLDS = 10
RIDGE = 1e-3
LEAST = 1e-300  # positive loss: predicted ones may be 0 or below
WIDEST = 60.0  # log losses between which an inverse is sought


@dataclass(frozen=True)
class Curve:
    """A straight line in log loss and, by `share`, the monotone curve through the knots; latent scale."""

    height: float
    steepness: float
    centre: float
    knots: FloatArray
    heights: FloatArray
    share: float = 0.0

    def __call__(self, u: FloatArray) -> FloatArray:
        """Latent values at log losses u, any shape."""
        line = self.height + self.steepness * (u - self.centre)
        if not self.share:
            return line
        inside = np.clip(u, self.knots[0], self.knots[-1])
        through = PchipInterpolator(self.knots, self.heights)(inside) if len(self.knots) > 1 else self.heights[0]
        return (1.0 - self.share) * line + self.share * (through + self.steepness * (u - inside))


class MonotoneLink(BaseEstimator):  # type: ignore[misc]
    """metric = warp(f(log loss)) with f strictly monotone: a line, bent as far as the points support it.

    The line is a binomial regression. The bend goes through the block means of an isotonic regression (monotone cubic;
    Fritsch and Carlson 1980); its share, none, half or nine tenths, is the one with the least cross-validated error.

    Args:
        trials: number of samples that each metric is the mean of; None where it is unknown or no mean of 0 and 1.
        increasing: whether the metric grows with the loss, as a perplexity does and an accuracy does not.
        warp: warp of the metric, `logit` for accuracies.

    Attributes:
        shift_: what is added to a loss before its logarithm: 0, or, where a loss is 0, a tenth of the least other one.
        steepness_: slope of the line, latent units per unit of log loss; its sign is that of `increasing`.
        share_: the bend's share.
        warp_: the warp, a `Warp`.
    """

    def __init__(self, trials: float | None = None, increasing: bool = False, warp: str = "logit") -> None:
        self.trials, self.increasing, self.warp = trials, increasing, warp

    def fit(self, losses: ArrayLike, metric: ArrayLike) -> Self:
        """Fit to the losses (zero or more) and the metrics of the evaluated points, `points` each.

        Raises:
            InputError: a loss is negative, the two have different lengths, or the warp has no value for a metric.
        """
        values, y = column_or_1d(losses, dtype=np.float64), column_or_1d(metric, dtype=np.float64)
        if not (values >= 0.0).all():
            raise InputError(f"loss {values[~(values >= 0.0)][0]:g} is negative; the link is a curve in log loss")
        self.shift_ = 0.0 if values.all() else 0.1 * float(values.min(initial=1.0, where=values > 0.0))
        u = self._log(values)
        if len(u) != len(y) or not len(u):
            raise InputError(f"{len(u)} losses and {len(y)} metrics; give one of each per evaluated point")
        self.warp_: Warp = warp_of(self.warp)
        inside = (y >= 0.0) & (y <= 1.0) if self.warp_.bounded else (y > self.warp_.low) & (y < self.warp_.high)
        if not inside.all():
            raise InputError(f"warp '{self.warp}' has no value for metric {y[~inside][0]:g}; take 'identity'")
        errors = self._errors(u, y) if len(u) > 3 else np.zeros(1)
        self.share_ = SHARES[int(errors.argmin())]
        self._curve = replace(self._fitted(u, y), share=self.share_)
        self.steepness_ = self._curve.steepness
        return self

    def latent(self, losses: ArrayLike) -> FloatArray:
        """The metric before its warp, float64, `points`; strictly monotone in the loss."""
        check_is_fitted(self)
        return self._curve(self._log(losses))

    def predict(self, losses: ArrayLike) -> FloatArray:
        """The metric expected at these losses, float64, `points`."""
        z = self.latent(losses)
        return self.warp_.metric(z)

    def inverse(self, metric: ArrayLike) -> FloatArray:
        """The loss at which each metric is expected, float64, `points`."""
        check_is_fitted(self)
        wanted = self.warp_.latent(column_or_1d(metric, dtype=np.float64))
        low, high = np.full(len(wanted), -WIDEST), np.full(len(wanted), WIDEST)
        for _ in range(70):  # bisection, down to rounding
            middle = 0.5 * (low + high)
            before = (self._curve(middle) < wanted) == self.increasing
            low, high = np.where(before, middle, low), np.where(before, high, middle)
        return np.asarray(np.exp(low) - self.shift_)

    def _errors(self, u: FloatArray, y: FloatArray) -> FloatArray:
        """Cross-validated squared error of each share, `shares`; the folds take the sorted losses in turn."""
        fold = np.empty(len(u), dtype=np.intp)
        fold[np.argsort(u, kind="stable")] = np.arange(len(u)) % min(FOLDS, len(u))
        errors = np.zeros(len(SHARES))
        for out in (fold == one for one in range(fold.max() + 1)):
            curve = self._fitted(u[~out], y[~out])
            latents = (replace(curve, share=share)(u[out]) for share in SHARES)
            errors += [((self.warp_.metric(z) - y[out]) ** 2).sum() for z in latents]
        return errors

    def _fitted(self, u: FloatArray, y: FloatArray) -> Curve:
        features = np.stack([np.ones(len(u)), u - u.mean()], axis=1)
        counts = None if self.trials is None else np.full(len(u), float(self.trials))
        fit = warped_fit(features, Sample(y, counts, np.ones(len(u))), self.warp_, RIDGE)
        height, slope = fit.linear.coefficients
        sign = 1.0 if self.increasing else -1.0
        order = np.argsort(u, kind="stable")
        steps = isotonic_regression(fit.target[order], weights=fit.precision[order], increasing=self.increasing)
        starts = steps.blocks[:-1]
        knots = np.add.reduceat(u[order], starts) / np.diff(steps.blocks)
        apart = np.append(True, np.diff(knots) > 0.0)
        steepness = sign * max(sign * float(slope), RIDGE)
        return Curve(float(height), steepness, float(u.mean()), knots[apart], steps.x[starts][apart])

    def _log(self, losses: ArrayLike) -> FloatArray:
        shifted = np.maximum(column_or_1d(losses, dtype=np.float64), 0.0) + self.shift_
        return np.asarray(np.log(np.maximum(shifted, LEAST)), dtype=np.float64)
