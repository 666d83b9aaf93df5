"""Depth profiles of whole layers: which levels of the model come from one member, and which from another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, nearest
from .table import CoefficientTable, FloatArray

Levels = NDArray[np.intp]


def swapped(
    levels: Levels, outer: FloatArray, middle: FloatArray, bottom: int, top: int, zone: int = 0
) -> CoefficientTable:
    """The table with `outer`'s row at the lowest and highest levels, `middle`'s between, their mean in the zones.

    Args:
        levels: level of each group, from 0; see `levels`.
        outer: row of the model at bottom and top, float64, `members`; zeros for the base.
        middle: row of the model between, float64, `members`.
        bottom: number of the lowest levels that are `outer`'s.
        top: number of the highest.
        zone: number of levels that are averaged on either side of the middle.

    Raises:
        InputError: there are fewer levels than these numbers need.
    """
    count = int(levels.max()) + 1
    if min(bottom, top, zone) < 0 or bottom + top + 2 * zone > count:
        zones = f" and twice {zone} between" if zone else ""
        raise InputError(f"{bottom} layers at the bottom, {top} at the top{zones} do not fit into {count}; give fewer")
    share = np.zeros(count)
    share[bottom : count - top] = 0.5
    share[bottom + zone : count - top - zone] = 1.0
    each = share[levels][:, np.newaxis]
    return CoefficientTable.of((1.0 - each) * outer + each * middle)


def levels(depths: FloatArray) -> Levels:
    """Level of each group, `groups`: the rank of its depth among all depths, from 0.

    Raises:
        InputError: all groups lie at one depth.
    """
    ranks = np.unique(np.round(depths, 9), return_inverse=True)[1]
    if not ranks.max():
        raise InputError("layers cannot be swapped where all groups lie at one depth; set space.groups to layers")
    return np.asarray(ranks, dtype=np.intp)


def ingredient(name: str, members: Sequence[str]) -> FloatArray:
    """Row of a member, float64, `members`; zeros for "base".

    Raises:
        InputError: there is no such member.
    """
    if name not in ("base", *members):
        raise InputError(f"no member is called '{name}'; {nearest(name, ['base', *members])}")
    return np.array([float(name == member) for member in members])
