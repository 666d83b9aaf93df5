"""The plane between two merges: rows a·u + b·v, as a space of its own."""

from __future__ import annotations

import numpy as np

from ...spaces.row import RowSpace
from ...spaces.table import TOLERANCE
from ..history import FloatArray


class Pair(RowSpace):
    """Rows a·u + b·v with 0 ≤ a, b ≤ high.

    Args:
        u: one row of coefficients, `members`.
        v: another, not a multiple of u.
        high: largest a and b.
    """

    def __init__(self, u: FloatArray, v: FloatArray, high: float) -> None:
        super().__init__(len(u))
        self.sides, self.high = np.stack([u, v]), high

    @property
    def names(self) -> list[str]:
        """The two sides."""
        return ["left", "right"]

    @property
    def bounds(self) -> FloatArray:
        """From zero to `high`, float64, `2 x 2`."""
        return np.array([[0.0, self.high]] * 2)

    def row(self, x: FloatArray) -> FloatArray:
        """A·u + b·v of x = (a, b), float64, `members`."""
        return np.asarray(np.asarray(x, dtype=np.float64) @ self.sides)

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """(a, b) of a row of the plane, `members`; None for others."""
        x = np.asarray(np.linalg.lstsq(self.sides.T, row, rcond=None)[0], dtype=np.float64)
        return self._within(x) if np.allclose(self.row(x), row, rtol=0.0, atol=TOLERANCE) else None
