"""Box: one free coefficient per member, as in task arithmetic with a λ of its own for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .row import RowSpace, interval
from .table import FloatArray


class Box(RowSpace):
    """Rows with low ≤ cᵢ ≤ high: θ = θ₀ + Σᵢ cᵢ·tᵢ (Ilharco et al. 2023, https://arxiv.org/abs/2212.04089).

    The default [0, 1.5] holds every single member, every soup and the usual λ of 0.3 to 1; allow a negative `low`
    to search for unlearning as well.

    Args:
        members: their number, or one name for each.
        low: lowest coefficient, for all members or for each, `members`.
        high: highest coefficient, for all members or for each, `members`.

    Raises:
        InputError: a bound is not finite, or low is not below high.
    """

    def __init__(
        self, members: int | Sequence[str], low: float | FloatArray = 0.0, high: float | FloatArray = 1.5
    ) -> None:
        super().__init__(members)
        self._bounds = interval(low, high, self.members)

    @property
    def names(self) -> list[str]:
        """The members' names."""
        return list(self.member_names)

    @property
    def bounds(self) -> FloatArray:
        """Lowest and highest coefficient, float64, `members x 2`."""
        return self._bounds

    def row(self, x: FloatArray) -> FloatArray:
        """The row is x itself, float64, `members`."""
        return np.array(x, dtype=np.float64)

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """X is the row itself, float64, `members`; None outside the bounds."""
        return self._within(row)
