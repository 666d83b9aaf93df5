"""What MAP believes: every objective predicted over the coordinates of a frame, from the trials of a history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...surrogates.quadratic import QuadraticSurrogate
from ...surrogates.shared_process import SharedProcess
from ..history import FloatArray, Guides, History
from .frame import Frame
from .guided import GuidedModel
from .metric import Metric, latent_of, losses_of

Kind = Literal["quadratic", "process"]


class Model(Protocol):
    """Predictions of all objectives; smaller is better."""

    def latent(self, z: FloatArray) -> FloatArray:
        """Objectives before their warps, which order points alike but know no ties, `points x objectives`."""
        ...

    def moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The latent objectives and their standard deviations, `points x objectives` each."""
        ...

    def losses(self, latent: FloatArray) -> FloatArray:
        """From latent values, `... x objectives`, to losses as the history has them."""
        ...

    def trusted(self, z: FloatArray) -> NDArray[np.bool_]:
        """Whether each point lies no farther out of the fitted ones than some fitted one does, `points`."""
        ...


@dataclass(frozen=True)
class QuadraticModel:
    """MAP as published: one quadratic per objective (Li et al. 2024, https://arxiv.org/abs/2406.07529)."""

    surrogates: Sequence[QuadraticSurrogate]
    signs: FloatArray

    @classmethod
    def of(cls, z: FloatArray, losses: FloatArray, metrics: Sequence[Metric]) -> QuadraticModel:
        """Fit to coordinates, `trials x dimension`, and losses, `trials x objectives`."""
        surrogates = [
            QuadraticSurrogate(warp=metric.warp.name, trials=metric.trials).fit(z, metric.sign * column)
            for metric, column in zip(metrics, losses.T, strict=True)
        ]
        return cls(surrogates, np.array([metric.sign for metric in metrics]))

    def coefficients(self) -> tuple[FloatArray, FloatArray]:
        """Slopes and curvatures of what is minimised, `objectives x dimension` and `... x dimension x dimension`."""
        linear = np.stack([one.linear_ for one in self.surrogates])
        curvature = np.stack([one.curvature_ for one in self.surrogates])
        return self.signs[:, None] * linear, self.signs[:, None, None] * curvature

    def latent(self, z: FloatArray) -> FloatArray:
        return np.asarray(self.signs * np.stack([one.latent(z) for one in self.surrogates], axis=1), dtype=np.float64)

    def moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        means, stds = zip(*(one.latent(z, return_std=True) for one in self.surrogates), strict=True)
        return self.signs * np.stack(means, axis=1), np.stack(stds, axis=1)

    def losses(self, latent: FloatArray) -> FloatArray:
        columns = np.moveaxis(self.signs * latent, -1, 0)
        metrics = [one.warp_.metric(column) for one, column in zip(self.surrogates, columns, strict=True)]
        return np.asarray(self.signs * np.stack(metrics, axis=-1), dtype=np.float64)

    def trusted(self, z: FloatArray) -> NDArray[np.bool_]:
        inside = [one.leverage(z) <= one.leverage_limit_ for one in self.surrogates]
        return np.asarray(np.all(inside, axis=0), dtype=np.bool_)


@dataclass(frozen=True)
class ProcessModel:
    """Gaussian processes of the objectives themselves."""

    process: SharedProcess
    metrics: Sequence[Metric]

    @classmethod
    def of(cls, z: FloatArray, losses: FloatArray, metrics: Sequence[Metric]) -> ProcessModel:
        """Fit to coordinates, `trials x dimension`, and losses, `trials x objectives`."""
        return cls(SharedProcess().fit(z, latent_of(metrics, losses)), metrics)

    def latent(self, z: FloatArray) -> FloatArray:
        return self.process.predict(z)

    def moments(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.process.moments(z)

    def losses(self, latent: FloatArray) -> FloatArray:
        return losses_of(self.metrics, latent)

    def trusted(self, z: FloatArray) -> NDArray[np.bool_]:
        return self.process.trusted(z)


def fitted(frame: Frame, history: History, rows: int, kind: Kind) -> Model:
    """The model of the first `rows` trials; with guides always processes that follow their slopes."""
    z, losses = frame.coordinates(history.x[:rows]), history.losses[:rows]
    metrics = [Metric.of(*each) for each in zip(losses.T, history.errors[:rows].T, strict=True)]
    if history.guides is not None:
        guides = Guides(history.guides.losses[:rows], history.guides.slopes[:rows])
        known = np.isfinite(guides.losses).all(axis=1)
        if known.all():
            return GuidedModel.of(frame, z, losses, guides, metrics)
    return QuadraticModel.of(z, losses, metrics) if kind == "quadratic" else ProcessModel.of(z, losses, metrics)
