"""The contract of a space: a map from a flat vector x to a coefficient table, and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from .canonical import canonical_points
from .table import TOLERANCE, CoefficientTable, FloatArray


class Space(ABC):
    """A set of coefficient tables, described by `dimension` bounded numbers without redundancy.

    Laws (tests/conformance holds every space to them): `table(x)` is defined for every x within `bounds`;
    `vector(t)` is None exactly where t lies outside the space, and otherwise `table(vector(t))` is t to rounding;
    `vector(table(x))` gives x back to rounding wherever x is the only vector of its table. (The exceptions: the
    boundary of a simplex, a scale of zero, and vectors that a subset or a grid rounds to the same table.)

    Attributes:
        groups: number of rows of every table.
        members: number of columns of every table.
    """

    def __init__(self, groups: int, members: int) -> None:
        self.groups = groups
        self.members = members

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """One name per coordinate of x, unique, stable between runs."""

    @property
    @abstractmethod
    def bounds(self) -> FloatArray:
        """Lowest and highest value per coordinate, float64, `dimension x 2`."""

    @abstractmethod
    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `dimension`, into a table, `groups x members`."""

    @abstractmethod
    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode a table as x, `dimension`; None where the space does not contain it."""

    @property
    def dimension(self) -> int:
        """Number of coordinates of x."""
        return len(self.names)

    def canonical_points(self, member_names: Sequence[str] | None = None) -> dict[str, CoefficientTable]:
        """Tables that reproduce published methods exactly, by name; see `canonical.py`. Not all lie in the space."""
        return canonical_points(self.groups, self.members if member_names is None else member_names)

    def contains(self, x: FloatArray) -> bool:
        """Whether x, `dimension`, lies within the bounds, up to rounding."""
        low, high = self.bounds.T
        slack = TOLERANCE * np.maximum(1.0, high - low)
        return bool(np.all(x >= low - slack) and np.all(x <= high + slack))

    def _rows(self, table: CoefficientTable) -> FloatArray | None:
        """C, `groups x members`, of a table of this space's shape with c₀ = 1; None for any other table."""
        fits = table.members.shape == (self.groups, self.members) and np.all(table.base == 1.0)
        return table.members if fits else None
