"""Objectives that are guided by differentiable losses: processes of the losses, and links to the objectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...surrogates.link import MonotoneLink
from ...surrogates.shared_process import SharedProcess
from ..history import FloatArray, Guides
from .frame import Frame
from .metric import Metric, latent_of, losses_of

_EQUATIONS = 1500  # values and slopes that one process takes: its Cholesky factor then costs 0.05 s on one core


@dataclass(frozen=True)
class GuidedModel:
    """Gaussian processes of the guides, given their slopes, and a monotone link from each to its objective.

    The links are fitted on the evaluated trials, and so is a process of what they leave.
    """

    process: SharedProcess
    scales: Sequence[Metric]
    metrics: Sequence[Metric]
    links: Sequence[MonotoneLink | None]
    rest: SharedProcess

    @classmethod
    def of(
        cls, frame: Frame, z: FloatArray, losses: FloatArray, guides: Guides, metrics: Sequence[Metric]
    ) -> GuidedModel:
        """Fit to coordinates, `trials x dimension`, losses, `trials x objectives`, and guides."""
        scales = [Metric.of(column, np.zeros(len(column))) for column in guides.losses.T]
        latent = latent_of(scales, guides.losses)
        rates = np.stack([one.warp.slope(one.sign * latent[:, i]) for i, one in enumerate(scales)], axis=1)
        slopes = frame.reduced(guides.slopes) / rates[:, :, None]
        process = SharedProcess().fit(z, latent, _affordable(slopes, losses))
        links = [
            _link(guide, column, metric)
            for guide, column, metric in zip(guides.losses.T, losses.T, metrics, strict=True)
        ]
        linked = np.stack([_linked(*each) for each in zip(links, metrics, scales, latent.T, strict=True)], axis=1)
        rest = SharedProcess(noises=(1e-2, 1e-1, 1.0)).fit(z, latent_of(metrics, losses) - linked)
        return cls(process, scales, metrics, links, rest)

    def latent(self, z: FloatArray) -> FloatArray:
        return self._linked(self.process.predict(z)) + self.rest.predict(z)

    def moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean, std = self.process.moments(z)
        rest, rest_std = self.rest.moments(z)
        moved = (self._linked(mean + std) - self._linked(mean - std)) / 2.0
        return self._linked(mean) + rest, np.sqrt(moved**2 + rest_std**2)

    def losses(self, latent: FloatArray) -> FloatArray:
        return losses_of(self.metrics, latent)

    def trusted(self, z: FloatArray) -> NDArray[np.bool_]:
        return self.process.trusted(z)

    def _linked(self, latent: FloatArray) -> FloatArray:
        each = zip(self.links, self.metrics, self.scales, latent.T, strict=True)
        return np.stack([_linked(*one) for one in each], axis=1)


def _affordable(slopes: FloatArray, losses: FloatArray) -> FloatArray:
    """The slopes of the trials with the least mean normalised loss, as many as are affordable; NaN for the others."""
    count = max(1, (_EQUATIONS - len(slopes)) // max(1, slopes.shape[2]))
    spread = np.ptp(losses, axis=0)
    order = np.argsort((losses / np.where(spread > 0, spread, 1.0)).mean(axis=1), kind="stable")
    kept = slopes.copy()
    kept[order[count:]] = np.nan
    return kept


def _link(guide: FloatArray, losses: FloatArray, metric: Metric) -> MonotoneLink | None:
    """From a guide to the metric of its objective; None where the guide is the objective."""
    if np.array_equal(guide, losses):
        return None
    link = MonotoneLink(trials=metric.trials, increasing=metric.sign > 0, warp=metric.warp.name)
    return link.fit(np.maximum(guide, 0.0), metric.sign * losses)  # rounding takes a divergence of 0 below it


def _linked(link: MonotoneLink | None, metric: Metric, scale: Metric, latent: FloatArray) -> FloatArray:
    """Latent objective from the guide's latent value."""
    return latent if link is None else metric.sign * link.latent(scale.losses(latent))
