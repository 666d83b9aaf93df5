"""Swap: the lowest and highest layers from one model, those between from another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .names import named
from .profile import ingredient, levels, swapped
from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class Swap(Space):
    """Layer swapping (Bandarkar et al. 2024, https://arxiv.org/abs/2410.01335), with its boundaries to be searched.

    Groups of one depth form a level, so that what comes before the layers goes with the first of them and what comes
    after with the last. The lowest and highest levels are those of `outer`, the ones between those of `middle`, and
    on either side of the middle there may be a zone in which the two are averaged.

    Of the three coordinates the first chooses how many levels at the bottom are of `outer`, the second how many at
    the top, the third how wide the zones are, each among what the ones before it leave possible; x uniform on the unit
    cube chooses any pair of boundaries with equal chance. `vector` gives the middle of all x with the same table.

    Args:
        members: their number, or one name for each.
        depths: depth of each group, float64, `groups`, in [0, 1].
        outer: name of the member at bottom and top, or "base"; the first of all that `middle` is not.
        middle: name of the member between, or "base"; the first of all that `outer` is not.

    Raises:
        InputError: no such member, twice the same, more than two to choose from, or all groups lie at one depth.
    """

    def __init__(
        self, members: int | Sequence[str], depths: FloatArray, outer: str | None = None, middle: str | None = None
    ) -> None:
        names = named(members, "member")
        super().__init__(len(depths), len(names))
        first, second = _pair(names, outer, middle)
        self._outer, self._middle = ingredient(first, names), ingredient(second, names)
        self._levels = levels(depths)

    @property
    def names(self) -> list[str]:
        """What each coordinate decides."""
        return ["bottom", "top", "zone"]

    @property
    def bounds(self) -> FloatArray:
        """Zeros and ones, float64, `3 x 2`."""
        return np.tile([0.0, 1.0], (3, 1))

    def table(self, x: FloatArray) -> CoefficientTable:
        """Choose boundaries by x, float64, `3`, and swap."""
        chosen: list[int] = []
        for value in x:
            edges = self._edges(chosen)
            chosen.append(int(np.searchsorted(edges[1:-1], value, side="right")))
        return swapped(self._levels, self._outer, self._middle, *chosen)

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode boundaries as x, `3`; None for a table that is no swap of these two."""
        rows = self._rows(table)
        if rows is None:
            return None
        chosen = self._boundaries(rows)
        again = swapped(self._levels, self._outer, self._middle, *chosen)
        if not np.allclose(again.members, rows, rtol=0.0, atol=TOLERANCE):
            return None
        edges = [self._edges(chosen[:count]) for count in range(3)]
        return np.array([edge[count : count + 2].mean() for edge, count in zip(edges, chosen, strict=True)])

    def _edges(self, chosen: Sequence[int]) -> FloatArray:
        """Where a coordinate's choices begin and end in [0, 1], after those of the coordinates before it."""
        left = int(self._levels.max()) + 1 - sum(chosen)
        if not chosen:  # in proportion to the choices that are left for the top; all levels are but one choice
            widths = np.append(np.arange(left, 0, -1), 1)
        else:
            widths = np.ones(max(left, 1) if len(chosen) == 1 else left // 2 + 1)
        return np.concatenate([[0.0], np.cumsum(widths) / widths.sum()])

    def _boundaries(self, rows: FloatArray) -> tuple[int, int, int]:
        """Numbers of bottom, top and zone levels that these rows must have, if they are a swap at all."""
        count = int(self._levels.max()) + 1
        firsts = rows[[int(np.argmax(self._levels == level)) for level in range(count)]]
        foreign = np.abs(firsts - self._outer).max(axis=1) > TOLERANCE
        if not foreign.any():
            return count, 0, 0
        bottom, top = int(np.argmax(foreign)), int(np.argmax(foreign[::-1]))
        mixed = np.abs(firsts - (self._outer + self._middle) / 2).max(axis=1) <= TOLERANCE
        return bottom, top, int(mixed.sum()) // 2


def _pair(names: Sequence[str], outer: str | None, middle: str | None) -> tuple[str, str]:
    if len(names) > 2 and (outer is None or middle is None):
        raise InputError(f"layers are swapped between two of {len(names)} members; name them as 'outer' and 'middle'")
    models = [*names, "base"]
    outer = outer or next(name for name in models if name != middle)
    middle = middle or next(name for name in models if name != outer)
    if outer == middle:
        raise InputError(f"'outer' and 'middle' are both '{outer}', which swaps nothing; name two different models")
    return outer, middle
