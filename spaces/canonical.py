"""Canonical points: tables that reproduce published methods exactly, where a search starts and what it must beat."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..errors import InputError
from .names import named
from .table import TOLERANCE, CoefficientTable

TASK_ARITHMETIC_LINE = (0.2, 0.3, 0.5, 0.7, 1.0)  # the published default is 0.3, and 8 tasks do best from 0.3 to 0.5


def canonical_points(groups: int, members: int | Sequence[str]) -> dict[str, CoefficientTable]:
    """Tables by name: base, each member, uniform soup, and task arithmetic with one λ for all members.

    Tables that several methods share stand once, under the first name: with one member, the uniform soup is that
    member; with two, λ = 0.5 is the uniform soup.

    Args:
        groups: number of rows.
        members: their number, or one name for each ("member <name>").
    """
    names = named(members, "member")
    everyone = range(len(names))
    points = {"base": soup((), groups, len(names))}
    for index, name in enumerate(names):
        title = name if isinstance(members, int) else f"member {name}"
        points[title] = soup((index,), groups, len(names))
    points["uniform soup"] = soup(everyone, groups, len(names))
    for scale in TASK_ARITHMETIC_LINE:
        points[f"task arithmetic {scale}"] = CoefficientTable.tied(np.full(len(names), scale), groups)
    distinct: dict[str, CoefficientTable] = {}
    for name, table in points.items():
        if not any(np.allclose(table.members, other.members, atol=TOLERANCE) for other in distinct.values()):
            distinct[name] = table
    return distinct


def soup(subset: Iterable[int], groups: int, members: int) -> CoefficientTable:
    """Equal-weight average of the members in `subset` (indices), `groups x members`; the base where it is empty.

    Raises:
        InputError: an index belongs to no member.
    """
    chosen = sorted(set(subset))
    row = np.zeros(members)
    for index in chosen:
        if not 0 <= index < members:
            raise InputError(f"no member has the index {index}; there are {members}, counted from 0")
        row[index] = 1.0 / len(chosen)
    return CoefficientTable.tied(row, groups)
