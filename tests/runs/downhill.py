"""Searchers and a metric for the tests of guides, loaded by the path of this file."""

from __future__ import annotations

from typing import ClassVar, Literal

import numpy as np

from mergesearch.search.history import FloatArray, History
from mergesearch.search.searcher import Searcher

SEEN: list[History] = []


class Downhill(Searcher):
    """Steps against the first guide's slope from the trial with the lowest guide."""

    gradients: Literal["unused", "used", "needed"] = "needed"
    step: ClassVar[float] = 0.05

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        SEEN.append(history)
        guides = history.guides
        assert guides is not None
        if not len(history):
            return np.asarray(history.space.bounds.mean(axis=1))
        best = int(np.nanargmin(guides.losses.mean(axis=1)))
        slope = guides.slopes[best].mean(axis=0).ravel()
        x = history.x[best] - self.step * rng.random() * slope / np.linalg.norm(slope)
        return np.asarray(np.clip(x, *history.space.bounds.T))


class Curious(Downhill):
    """The same, but for spaces without gradients."""

    gradients: Literal["unused", "used", "needed"] = "used"

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        SEEN.append(history)
        low, high = history.space.bounds.T
        return np.asarray(rng.uniform(low, high))


def size(model: object, samples: np.ndarray) -> dict[str, list[float]]:
    """A metric without a gradient."""
    weights = next(model.parameters()).detach()  # type: ignore[attr-defined]
    return {"size": [float(weights.abs().mean()) + 0.0 * one for one in samples]}
