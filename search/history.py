"""What a searcher may know: the finished trials of its run, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spaces.space import Space

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class History:
    """Completed trials whose table lies in the space, oldest first. Failed trials are left out.

    Attributes:
        space: the space searched (bounds, names, canonical points).
        number: number of the trial to propose; it also counts failed trials and baselines outside the space.
        x: float64, `trials x dimension`.
        losses: objectives, oriented so that smaller is better, float64, `trials x objectives`.
        errors: standard errors of the losses, `trials x objectives`; zeros where unknown.
        violations: how far each floor is missed (positive) or met (zero or negative), `trials x floors`.
    """

    space: Space
    number: int
    x: FloatArray
    losses: FloatArray
    errors: FloatArray
    violations: FloatArray

    def __len__(self) -> int:
        return len(self.x)

    @property
    def feasible(self) -> NDArray[np.bool_]:
        """Whether each trial keeps all its floors, `trials`."""
        return np.all(self.violations <= 0, axis=1)

    def row_of(self, x: FloatArray) -> int | None:
        """Index of the first trial at x (bit for bit), or None."""
        hits = np.flatnonzero((self.x == x).all(axis=1)) if len(self) else []
        return int(hits[0]) if len(hits) else None
