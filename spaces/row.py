"""What the one-row spaces share: names of coordinates, checked bounds, and the step from a row to a table."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from ..errors import InputError
from .names import named
from .space import Space
from .table import CoefficientTable, FloatArray


class RowSpace(Space):
    """A space of one row of coefficients: the building stone that the combinators repeat over groups.

    Attributes:
        row_sum: the sum of every row but the zero row; None where it varies.
        convex: whether every mixture of two rows is a row of the space again.
        member_names: one name per column; "member 0", "member 1", … where only their number was given.
    """

    row_sum: ClassVar[float | None] = None
    convex: bool = True

    def __init__(self, members: int | Sequence[str]) -> None:
        self.member_names = named(members, "member")
        super().__init__(groups=1, members=len(self.member_names))

    @abstractmethod
    def row(self, x: FloatArray) -> FloatArray:
        """Decode x, float64, `dimension`, into one row, `members`."""

    @abstractmethod
    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """Encode one row, float64, `members`, as x, `dimension`; None where the space does not contain it."""

    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `dimension`, into a table, `1 x members`."""
        return CoefficientTable.of(self.row(x)[np.newaxis])

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode a table, `1 x members`, as x; None where the space does not contain it."""
        rows = self._rows(table)
        return None if rows is None else self.coordinates(rows[0])

    def _within(self, x: FloatArray) -> FloatArray | None:
        """X pulled onto the bounds where only rounding separates it from them; None where more does."""
        return np.clip(x, *self.bounds.T) if self.contains(x) else None


def interval(low: float | FloatArray, high: float | FloatArray, size: int) -> FloatArray:
    """Bounds, float64, `size x 2`, from one pair for all coordinates or one pair for each.

    Raises:
        InputError: a bound is not finite, low is not below high, or there are not `size` of them.
    """
    try:
        bounds = np.stack([np.broadcast_to(np.asarray(end, dtype=np.float64), size) for end in (low, high)], axis=1)
    except ValueError as error:
        raise InputError(f"bounds {low!r} and {high!r} do not fit {size} members; give one pair or {size}") from error
    for lowest, highest in bounds.tolist():
        if not (np.isfinite([lowest, highest]).all() and lowest < highest):
            raise InputError(f"low {lowest} and high {highest} bound nothing; give finite numbers, the lower one first")
    bounds.flags.writeable = False
    return bounds
