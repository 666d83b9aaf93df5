"""Subset: soups, the equal-weight averages of a choice of members."""

from __future__ import annotations

import numpy as np

from .row import RowSpace
from .table import TOLERANCE, FloatArray


class Subset(RowSpace):
    """Rows with 1/|S| for the members of S and zero for the rest (model soups, https://arxiv.org/abs/2203.05482).

    Member i belongs to S where xᵢ ≥ 0.5; nobody chosen is the base. `vector` gives zeros and ones.
    """

    row_sum = 1.0
    convex = False

    @property
    def names(self) -> list[str]:
        """The members' names."""
        return list(self.member_names)

    @property
    def bounds(self) -> FloatArray:
        """Zeros and ones, float64, `members x 2`."""
        return np.tile([0.0, 1.0], (self.members, 1))

    def row(self, x: FloatArray) -> FloatArray:
        """Average the members with x ≥ 0.5; x and the row are float64, `members`."""
        chosen = np.asarray(x) >= 0.5
        return chosen / max(1, int(chosen.sum()))

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """Ones for the members averaged, `members`; None where the weights are not equal."""
        chosen = (row > TOLERANCE).astype(np.float64)
        return chosen if np.allclose(self.row(chosen), row, rtol=0.0, atol=TOLERANCE) else None
