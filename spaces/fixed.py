"""Fixed: exactly one table, for evaluating a published method without a search."""

from __future__ import annotations

import numpy as np

from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class Fixed(Space):
    """The space of one table, `groups x members`; x has no coordinates."""

    def __init__(self, table: CoefficientTable) -> None:
        super().__init__(*table.members.shape)
        self._table = table

    @property
    def names(self) -> list[str]:
        """None at all."""
        return []

    @property
    def bounds(self) -> FloatArray:
        """Empty, float64, `0 x 2`."""
        return np.empty((0, 2))

    def table(self, x: FloatArray) -> CoefficientTable:
        """The one table, whatever x (float64, `0`) is."""
        return self._table

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """An empty vector for the one table, None for any other."""
        same = table.members.shape == self._table.members.shape and all(
            np.allclose(mine, other, rtol=0.0, atol=TOLERANCE)
            for mine, other in ((self._table.members, table.members), (self._table.base, table.base))
        )
        return np.empty(0) if same else None
