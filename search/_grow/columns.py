"""Patterns over depth that grow: from one for all units to blocks, and to lines over depth within a block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..history import FloatArray


@dataclass(frozen=True)
class Columns:
    """Which patterns the coordinates follow over the units: constant on each block, and a line on some.

    Attributes:
        units: their number.
        starts: first unit of each block, ascending; the first is 0.
        lines: blocks (by first and last unit) on which there is a line besides.
    """

    units: int
    starts: tuple[int, ...] = (0,)
    lines: tuple[tuple[int, int], ...] = ()

    @property
    def matrix(self) -> FloatArray:
        """The patterns, `units x patterns`."""
        return np.stack(
            [*(self._block(*block) for block in self.blocks), *(self._line(*line) for line in self.lines)], 1
        )

    @property
    def blocks(self) -> list[tuple[int, int]]:
        """First and last unit of each."""
        ends = [start - 1 for start in self.starts[1:]] + [self.units - 1]
        return list(zip(self.starts, ends, strict=True))

    def finer(self) -> Iterator[tuple[tuple[int, int], Columns, FloatArray]]:
        """All that one more pattern makes of these: (block, columns, the pattern)."""
        for first, last in self.blocks:
            for cut in range(first + 1, last + 1):
                pattern = self._block(cut, last) - self._block(first, last) * (last + 1 - cut) / (last + 1 - first)
                yield (first, last), self.cut([cut]), pattern
            if last - first > 1 and (first, last) not in self.lines:
                lines = (*self.lines, (first, last))
                yield (first, last), Columns(self.units, self.starts, lines), self._line(first, last)

    def cut(self, units: list[int]) -> Columns:
        """With further blocks that begin at `units`."""
        return Columns(self.units, tuple(sorted({*self.starts, *units})), self.lines)

    def halved(self) -> Columns:
        """With every block cut in two."""
        return self.cut([(first + last + 1) // 2 for first, last in self.blocks if last > first])

    def joined(self, other: Columns) -> Columns:
        """With all patterns of both."""
        lines = dict.fromkeys([*self.lines, *other.lines])
        return Columns(self.units, self.cut(list(other.starts)).starts, tuple(lines))

    def _block(self, first: int, last: int) -> FloatArray:
        units = np.arange(self.units)
        return ((units >= first) & (units <= last)).astype(np.float64)

    def _line(self, first: int, last: int) -> FloatArray:
        return self._block(first, last) * (2 * np.arange(self.units) - first - last) / max(1, last - first)
