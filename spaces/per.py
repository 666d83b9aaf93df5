"""One row space over many groups: repeated with coordinates of its own for each (Per), or shared (Tied)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .names import named
from .row import RowSpace
from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class Per(Space):
    """Every group has a row of its own from `space`; x is the groups' coordinates one after another.

    Args:
        space: the space of one row.
        groups: their number, or one name for each; the names prefix those of the coordinates.
    """

    def __init__(self, space: RowSpace, groups: int | Sequence[str]) -> None:
        self.space = space
        self.group_names = named(groups, "group")
        super().__init__(len(self.group_names), space.members)

    @property
    def names(self) -> list[str]:
        """Named `<group>: <coordinate>`, group by group."""
        return [f"{group}: {name}" for group in self.group_names for name in self.space.names]

    @property
    def bounds(self) -> FloatArray:
        """The row space's bounds for every group, float64, `dimension x 2`."""
        return np.tile(self.space.bounds, (self.groups, 1))

    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `groups · row dimension`, row by row."""
        parts = np.reshape(x, (self.groups, self.space.dimension))
        return CoefficientTable.of(np.stack([self.space.row(part) for part in parts]))

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode a table, `groups x members`, row by row; None where one row does not belong."""
        rows = self._rows(table)
        parts = [None] if rows is None else [self.space.coordinates(row) for row in rows]
        known = [part for part in parts if part is not None]
        return np.concatenate(known) if len(known) == self.groups else None


class Tied(Space):
    """All groups share one row from `space`, so x has only that row's coordinates.

    Args:
        space: the space of one row.
        groups: number of groups.
    """

    def __init__(self, space: RowSpace, groups: int) -> None:
        self.space = space
        super().__init__(groups, space.members)

    @property
    def names(self) -> list[str]:
        """The row's coordinates."""
        return self.space.names

    @property
    def bounds(self) -> FloatArray:
        """The row space's bounds, float64, `dimension x 2`."""
        return self.space.bounds

    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `row dimension`, and repeat the row."""
        return CoefficientTable.tied(self.space.row(x), self.groups)

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode the row that all groups share; None where they differ or the row does not belong."""
        rows = self._rows(table)
        if rows is None or np.ptp(rows, axis=0).max() > TOLERANCE:
            return None
        return self.space.coordinates(rows[0])
