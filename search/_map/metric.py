"""Metrics behind losses: which warp suits an objective, told from its values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...surrogates.warp import Warp, warp_of
from ..history import FloatArray


@dataclass(frozen=True)
class Metric:
    """How one objective's losses relate to a metric with a warp.

    Attributes:
        sign: -1 where the losses are a maximised metric's, which are never positive; 1 otherwise.
        warp: for the metric: logit for fractions, softplus for positive losses, and identity.
        trials: samples that each fraction is the mean of, as its standard errors tell; None where unknown.
    """

    sign: float
    warp: Warp
    trials: float | None

    @classmethod
    def of(cls, losses: FloatArray, errors: FloatArray) -> Metric:
        """Told from the losses and their standard errors, `trials` each."""
        sign = -1.0 if len(losses) and losses.max() <= 0.0 else 1.0
        y = sign * losses
        if sign < 0 and y.max(initial=0.0) <= 1.0:
            known = (errors > 0) & np.isfinite(errors) & (y * (1 - y) > 0)
            counts = y[known] * (1 - y[known]) / errors[known] ** 2 + 1.0
            return cls(sign, warp_of("logit"), float(np.median(counts)) if known.any() else None)
        return cls(sign, warp_of("softplus" if len(y) and y.min() > 0 else "identity"), None)

    def latent(self, losses: FloatArray) -> FloatArray:
        """Losses before the warp, smaller is better; fractions of 0 and 1 stay finite."""
        y = self.sign * losses
        if self.warp.bounded:
            trials = self.trials or 1000.0
            y = (y * trials + 0.5) / (trials + 1.0)
        return self.sign * self.warp.latent(y)

    def losses(self, latent: FloatArray) -> FloatArray:
        """The reverse, but for the half success and failure."""
        return np.asarray(self.sign * self.warp.metric(self.sign * latent), dtype=np.float64)


def latent_of(metrics: Sequence[Metric], losses: FloatArray) -> FloatArray:
    """Latent losses, `points x objectives`, of losses, `points x objectives`."""
    return np.stack([metric.latent(column) for metric, column in zip(metrics, losses.T, strict=True)], axis=1)


def losses_of(metrics: Sequence[Metric], latent: FloatArray) -> FloatArray:
    """Losses, `... x objectives`, of latent losses of the same shape."""
    return np.stack([metric.losses(latent[..., place]) for place, metric in enumerate(metrics)], axis=-1)
