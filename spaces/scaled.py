"""Scaled: a row space whose rows sum to one, times a scale: how far to go apart from in which direction."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .row import RowSpace, interval
from .table import TOLERANCE, FloatArray


class Scaled(RowSpace):
    """Rows s·c with c from `space` and low ≤ s ≤ high; c₀ stays one, so s = 0 is the base.

    With `Simplex` this is the shell on which few samples say most about a merge (MAP, Li et al. 2024,
    https://arxiv.org/abs/2406.07529, sampled as direction times length). `Per` repeats the scale for each group,
    `Tied` shares it.

    Args:
        space: the space of the direction; its rows must have a fixed sum.
        low: lowest scale.
        high: highest scale.

    Raises:
        InputError: rows of `space` have no fixed sum, so a scale would be a redundant dimension; or the bounds are
            not finite or turned round.
    """

    def __init__(self, space: RowSpace, low: float = 0.0, high: float = 1.5) -> None:
        if space.row_sum is None:
            raise InputError(
                f"rows of {type(space).__name__} have no fixed sum, so a scale would add a dimension that changes "
                "nothing; remove 'scale', or take kind simplex, affine or subset"
            )
        super().__init__(space.member_names)
        self.space = space
        self.convex = space.convex and (low >= 0.0 or high <= 0.0)
        self._scale = interval(low, high, 1)
        self._sum = space.row_sum

    @property
    def names(self) -> list[str]:
        """The direction's coordinates, then the scale."""
        return [*self.space.names, "row scale"]

    @property
    def bounds(self) -> FloatArray:
        """The direction's bounds, then those of the scale, float64, `dimension x 2`."""
        return np.concatenate([self.space.bounds, self._scale])

    def row(self, x: FloatArray) -> FloatArray:
        """Multiply the row of x[:-1] by x[-1]; float64, `dimension` → `members`."""
        return np.asarray(x[-1] * self.space.row(x[:-1]), dtype=np.float64)

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """Split a row, `members`, into direction and scale, `dimension`; None where that leads out of the bounds."""
        if np.abs(row).max() <= TOLERANCE:
            return self._within(self._zero())
        scale = row.sum() / self._sum
        direction = self.space.coordinates(row / scale) if abs(scale) > TOLERANCE else None
        return None if direction is None else self._within(np.append(direction, scale))

    def _zero(self) -> FloatArray:
        """X of the zero row: a direction that is zero itself (nobody's subset), or scale 0 in the middle direction."""
        nobody = self.space.coordinates(np.zeros(self.members))
        if nobody is None:
            return np.append(self.space.bounds.mean(axis=1), 0.0)
        return np.append(nobody, np.clip(0.0, *self._scale[0]))
