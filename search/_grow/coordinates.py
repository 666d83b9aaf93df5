"""A fine space as a grid of coordinates, `units x width`: what may be tied over depth, and how far it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...spaces.canonical import soup
from ...spaces.knots import DepthKnots
from ...spaces.per import Per, Tied
from ...spaces.quantised import Quantised
from ...spaces.space import Space
from ..history import FloatArray

_STEP = 1e-5  # of the derivative of a table by x, as a part of each coordinate's range


@dataclass(frozen=True)
class Coordinates:
    """The coordinates of a space between 0 and 1, unit by unit.

    A unit is what has a row of its own: a group, or an anchor of a curve over depth. Units keep the space's order,
    which is that of depth.
    """

    space: Space

    @property
    def width(self) -> int:
        """Coordinates per unit."""
        inner = self._smooth
        return inner.space.dimension if isinstance(inner, Per | Tied | DepthKnots) else inner.dimension

    @property
    def units(self) -> int:
        """Number of units."""
        return self.space.dimension // self.width

    def of(self, x: FloatArray) -> FloatArray:
        """From x, float64, `… x dimension`, to coordinates from 0 to 1."""
        low, high = self.space.bounds.T
        return np.asarray((x - low) / (high - low), dtype=np.float64)

    def x(self, coordinates: FloatArray) -> FloatArray:
        """From coordinates to x, both `dimension`."""
        low, high = self.space.bounds.T
        return np.asarray(np.clip(low + coordinates * (high - low), low, high), dtype=np.float64)

    def starts(self) -> Iterator[FloatArray]:
        """Where to begin: x of the uniform soup, of the middle, and of the other canonical points."""
        space = self.space
        tables = [soup(range(space.members), space.groups, space.members), *space.canonical_points().values()]
        first, *others = (space.vector(table) for table in tables)
        for x in (first, self.x(np.full(space.dimension, 0.5)), *others):
            if x is not None:
                yield np.clip(x, *space.bounds.T)

    def slopes(self, x: FloatArray, slopes: FloatArray) -> FloatArray:
        """∂loss/∂coordinates, `losses x dimension`, at x from ∂loss/∂C, `losses x groups x members`: the chain rule."""
        low, high = self._smooth.bounds.T
        found = np.empty((len(slopes), len(x)))
        for index, reach in enumerate(high - low):
            pair = np.tile(x, (2, 1))
            pair[:, index] += np.array([-_STEP, _STEP]) * reach
            pair = np.clip(pair, low, high)
            below, above = (self._smooth.table(one).members for one in pair)
            turned = (above - below) * reach / (pair[1, index] - pair[0, index])
            found[:, index] = np.tensordot(slopes, turned, axes=2)
        return found

    @property
    def _smooth(self) -> Space:
        """The space without the steps of a grid."""
        return self.space.space if isinstance(self.space, Quantised) else self.space
