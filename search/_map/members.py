"""The members of a history as nested MAP sees them: their vectors, their objectives, and the tree of their merges."""

from __future__ import annotations

import numpy as np

from ...errors import InputError
from ...spaces.canonical import soup
from ..history import FloatArray, History
from .tree import Node, tree


def objectives(history: History, node: Node) -> list[int]:
    """The objectives that a node answers for: its members' own where each has one, otherwise all."""
    objectives = history.losses.shape[1]
    return list(node.leaves) if objectives == history.space.members else list(range(objectives))


def members(history: History) -> list[FloatArray]:
    """X of each member alone.

    Raises:
        InputError: the space does not contain one of them.
    """
    space = history.space
    points = [space.vector(soup((index,), space.groups, space.members)) for index in range(space.members)]
    missing = [index for index, x in enumerate(points) if x is None]
    if missing:
        raise InputError(
            f"the space does not contain member {missing[0]} alone, from which nested MAP starts; widen it"
        )
    return [x for x in points if x is not None]


def base(history: History) -> list[FloatArray]:
    """X of the base, where it was scored."""
    x = history.space.vector(soup((), history.space.groups, history.space.members))
    return [x] if x is not None and history.row_of(x) is not None else []


def scored(history: History) -> bool:
    """Whether every member has losses."""
    return all(history.row_of(x) is not None for x in members(history))


def losses_at(history: History, points: list[FloatArray]) -> FloatArray:
    """Losses of those of the points, x each, that have any, `points x objectives`."""
    rows = [history.row_of(x) for x in points]
    return history.losses[[row for row in rows if row is not None]]


def plan(history: History, balanced: bool) -> Node:
    """The tree of merges, by the members' scores; each on its own objectives, brought to one unit."""
    losses = _in_one_unit(losses_at(history, members(history)))
    own = [objectives(history, Node((index,))) for index in range(len(losses))]
    scores = [-float(row[columns].mean()) for row, columns in zip(losses, own, strict=True)]
    return tree(scores, ["loss"] * len(scores), balanced)


def _in_one_unit(losses: FloatArray) -> FloatArray:
    """The members' losses, `members x objectives`; where objectives differ in unit, as parts of their ranges."""
    if len({_unit(column) for column in losses.T}) == 1:
        return losses
    span = np.ptp(losses, axis=0)
    return np.asarray((losses - losses.min(axis=0)) / np.where(span > 0, span, 1.0), dtype=np.float64)


def _unit(losses: FloatArray) -> str:
    """Fractions, percentages and losses cannot be compared with one another."""
    if losses.max() > 0:
        return "loss"
    return "fraction" if losses.min() >= -1.0 else "percentage"
