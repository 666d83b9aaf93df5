"""What a searcher may know: the finished trials of its run, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..spaces.space import Space

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Guides:
    """Differentiable losses measured beside the objectives, and their slopes in the coefficient table.

    Attributes:
        losses: for each objective the loss that steers it (itself where it is differentiable), smaller is better,
            float64, `trials x objectives`; NaN where unknown.
        slopes: ∂loss/∂C, float64, `trials x objectives x groups x members`; NaN where unknown.
    """

    losses: FloatArray
    slopes: FloatArray


@dataclass(frozen=True)
class History:
    """Completed trials whose table lies in the space, oldest first. Trials without losses stand apart.

    Attributes:
        space: the space searched (bounds, names, canonical points).
        number: number of the trial to propose; it also counts failed trials and baselines outside the space.
        x: float64, `trials x dimension`.
        losses: objectives, oriented so that smaller is better, float64, `trials x objectives`.
        errors: standard errors of the losses, `trials x objectives`; zeros where unknown.
        violations: how far each floor is missed (positive) or met (zero or negative), `trials x floors`.
        unscored: x of trials that failed or that another worker is still evaluating, float64, `others x dimension`;
            a searcher that goes through a list of points skips them, and the rest may ignore them.
        guides: what is known of gradients; None where the searcher asks for none, or there are none.
        baselines: how many of the first trials the searcher did not propose: a run's baselines, or what was enqueued in
            a study.
    """

    space: Space
    number: int
    x: FloatArray
    losses: FloatArray
    errors: FloatArray
    violations: FloatArray
    unscored: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    guides: Guides | None = None
    baselines: int = 0

    def __len__(self) -> int:
        return len(self.x)

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial keeps all its floors, `trials`."""
        return np.asarray(np.all(self.violations <= 0, axis=1), dtype=np.bool_)

    @property
    def total_violation(self) -> FloatArray:
        """Sum of what each trial misses its floors by, float64, `trials`; zero where it keeps them all."""
        return np.asarray(np.maximum(self.violations, 0.0).sum(axis=1), dtype=np.float64)

    def row_of(self, x: FloatArray) -> int | None:
        """Index of the first trial at x (bit for bit), or None."""
        return _row_of(x, self.x)

    def tried(self, x: FloatArray) -> bool:
        """Whether some trial stood at x (bit for bit), with losses or without."""
        return self.row_of(x) is not None or _row_of(x, self.unscored) is not None


def _row_of(x: FloatArray, rows: FloatArray) -> int | None:
    if not len(rows):
        return None
    hits = np.flatnonzero((rows == x).all(axis=1))
    return int(hits[0]) if len(hits) else None
