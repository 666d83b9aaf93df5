"""Quantised: a space whose coordinates move in steps, so that nearly equal candidates become the same one."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class Quantised(Space):
    """`space` with every coordinate rounded to a multiple of `step`, never beyond the bounds.

    A table off the grid lies outside this space: `vector` gives None, and a canonical point among them is evaluated
    as the table that it is, not as its rounded neighbour.

    Args:
        space: any space.
        step: distance between neighbouring values of a coordinate.

    Raises:
        InputError: `step` is not positive, or it leaves a coordinate fewer than two values.
    """

    def __init__(self, space: Space, step: float = 0.01) -> None:
        super().__init__(space.groups, space.members)
        if not (np.isfinite(step) and step > 0):
            raise InputError(f"step is {step}; give a positive number such as 0.01")
        self.space = space
        self.step = step
        low, high = space.bounds.T / step
        # 0.3 / 0.01 is a hair below 30: what lies within rounding of the bound counts as on it.
        self._ticks = np.stack([np.ceil(low - TOLERANCE), np.floor(high + TOLERANCE)], axis=1)
        for name, (first, last), bounds in zip(space.names, self._ticks, space.bounds.tolist(), strict=True):
            if first >= last:
                raise InputError(f"step {step} leaves '{name}' no two values within {bounds}; give a smaller step")

    @property
    def names(self) -> list[str]:
        """The names of the space below."""
        return self.space.names

    @property
    def bounds(self) -> FloatArray:
        """First and last grid value per coordinate, float64, `dimension x 2`."""
        return self._at(self._ticks)

    def table(self, x: FloatArray) -> CoefficientTable:
        """Round x, float64, `dimension`, to the grid and decode it."""
        return self.space.table(self._rounded(x))

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode a table as a grid point; None where no grid point gives it."""
        x = self.space.vector(table)
        if x is None:
            return None
        x = self._rounded(x)
        same = np.allclose(self.space.table(x).members, table.members, rtol=0.0, atol=TOLERANCE)
        return x if same else None

    def _rounded(self, x: FloatArray) -> FloatArray:
        return self._at(np.clip(np.round(np.asarray(x) / self.step), *self._ticks.T))

    def _at(self, ticks: FloatArray) -> FloatArray:
        """Values of grid ticks; 12 decimals, so that 57 steps of 0.01 are 0.57 and not 0.5700000000000001."""
        return np.round(ticks * self.step, 12) + 0.0  # turns -0.0 into 0.0
