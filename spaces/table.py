"""The coefficient table: what every space produces, and all that the engine ever learns of a candidate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
TOLERANCE = 1e-9  # coefficients nearer than this are the same: far above rounding, far below any effect on a model


@dataclass(frozen=True, eq=False)
class CoefficientTable:
    """θ = c₀·θ₀ + Σᵢ C[g, i]·tᵢ, one row per group of tensors.

    Attributes:
        members: C, float64, `groups x members`.
        base: c₀, float64, `groups`; ones unless a method scales the base itself.
    """

    members: FloatArray
    base: FloatArray

    @classmethod
    def of(cls, members: FloatArray) -> CoefficientTable:
        """Table with c₀ = 1 from C, `groups x members`."""
        members = np.ascontiguousarray(members, dtype=np.float64)
        return cls(members, np.ones(len(members)))

    @classmethod
    def tied(cls, row: FloatArray, groups: int) -> CoefficientTable:
        """Table whose `groups` rows all equal `row`, `members`."""
        return cls.of(np.tile(np.asarray(row, dtype=np.float64), (groups, 1)))

    def __eq__(self, other: object) -> bool:
        """Equal shapes and equal numbers; -0.0 equals 0.0."""
        if not isinstance(other, CoefficientTable):
            return NotImplemented
        return np.array_equal(self.members, other.members) and np.array_equal(self.base, other.base)

    def __hash__(self) -> int:
        """Hash of the digest, consistent with `==`."""
        return hash(self.digest())

    def digest(self) -> str:
        """SHA-256 of shapes and numbers: the table's part of every cache key (hexadecimal)."""
        content = hashlib.sha256(repr(self.members.shape).encode())
        for array in (self.members, self.base):
            content.update((array + 0.0).tobytes())  # adding 0.0 turns -0.0 into 0.0
        return content.hexdigest()
