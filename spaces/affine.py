"""Affine: coefficients that sum to one and may be negative, as for the snapshots of one training run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .row import RowSpace, interval
from .table import TOLERANCE, FloatArray


class Affine(RowSpace):
    """Rows with Σᵢ cᵢ = 1, negatives allowed (LCSC, Liu et al. 2024, https://arxiv.org/abs/2404.02241).

    Difference form: all coefficients but the last are free, and the last is 1 - Σ of the others. Nothing is divided
    by a sum that may come near zero, and no dimension is wasted. The bounds are those of the free coefficients; the
    last one lies wherever the others leave it. Of a trajectory that is the newest snapshot: a step of a coefficient
    moves from there to an older one, which searched better than moving from the oldest, as the paper writes it.

    Args:
        members: their number, or one name for each.
        low: lowest free coefficient, for all or for each, `members - 1`.
        high: highest free coefficient, for all or for each, `members - 1`.

    Raises:
        InputError: a bound is not finite, or low is not below high.
    """

    row_sum = 1.0

    def __init__(
        self, members: int | Sequence[str], low: float | FloatArray = -0.5, high: float | FloatArray = 1.5
    ) -> None:
        super().__init__(members)
        self._bounds = interval(low, high, self.members - 1)

    @property
    def names(self) -> list[str]:
        """The members' names but the last one's."""
        return self.member_names[:-1]

    @property
    def bounds(self) -> FloatArray:
        """Lowest and highest free coefficient, float64, `members - 1 x 2`."""
        return self._bounds

    def row(self, x: FloatArray) -> FloatArray:
        """Append 1 - Σ x to x, float64, `members - 1`."""
        return np.append(x, 1.0 - np.sum(x))

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """The free coefficients of a row, `members` → `members - 1`; None off the plane or outside the bounds."""
        return self._within(row[:-1]) if abs(row.sum() - 1.0) <= TOLERANCE else None
