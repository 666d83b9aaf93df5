"""One preference's way up nested MAP's tree, from merge to merge, as far as the finished trials lead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ...spaces.per import Tied
from ...spaces.space import Space
from ...spaces.table import CoefficientTable
from ..history import FloatArray, Guides, History
from .members import base, losses_at, members, objectives, plan, scored
from .pair import Pair
from .tree import Node


@dataclass(frozen=True)
class Side:
    """A node's plane and the trials that lie in it, as a history over (a, b) and the node's objectives.

    Preferences count losses from `best`, a single member's, in units of `span`, what it gains over the worst.
    """

    plane: Pair
    history: History
    best: FloatArray
    span: FloatArray


@dataclass(frozen=True)
class Nest:
    """What a climb follows.

    Attributes:
        balanced: whether all nodes of a level are paired before the next level starts.
        reach: largest a and b of a merge a·left + b·right.
        design: the (a, b) to sample in a plane, `points x 2`.
        choose: the preferred (a, b) of a node by the weights of its objectives.
    """

    balanced: bool
    reach: float
    design: Callable[[Pair], FloatArray]
    choose: Callable[[Side, FloatArray], FloatArray]


class Climb:
    """One preference's way up the tree, over the trials that a history holds."""

    def __init__(self, nest: Nest, history: History, weights: FloatArray) -> None:
        self.nest, self.history, self.weights = nest, history, weights
        self.root = plan(history, nest.balanced) if scored(history) else Node((0,))
        ones = np.eye(history.space.members)
        self.rows: dict[Node, FloatArray] = {Node((index,)): row for index, row in enumerate(ones)}

    def wanted(self) -> Iterator[FloatArray]:
        """All merges that this preference needs, as far as the trials tell, x each, the last one being its answer."""
        if not scored(self.history):
            return
        for node in self.root.merges:
            left, right = (self.rows[side] for side in node.sides)
            plane = Pair(left, right, self.nest.reach)
            points = self.nest.design(plane)
            reached = [reach_of(self.history.space, plane.row(point)) for point in points]
            xs, within = [x for x, _ in reached], np.array([part for _, part in reached])
            yield from xs
            if not all(self.history.tried(x) for x in xs):
                return
            side = self._side(plane, node, within[:, None] * points, xs)
            row = plane.row(self.nest.choose(side, self._of(node)))
            self.rows[node] = row * reach_of(self.history.space, row)[1]
        yield self.x(self.rows[self.root])

    def x(self, row: FloatArray) -> FloatArray:
        """X of a row in the space, or of what of it lies within the bounds."""
        return reach_of(self.history.space, row)[0]

    def _of(self, node: Node) -> FloatArray:
        weights = self.weights[objectives(self.history, node)]
        return weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1.0 / len(weights))

    def _side(self, plane: Pair, node: Node, points: FloatArray, xs: list[FloatArray]) -> Side:
        """The node's samples that have losses, and the two sides themselves where they were evaluated."""
        history, space = self.history, self.history.space
        ends = [self.x(row) for row in plane.sides]
        found = [(p, history.row_of(x)) for p, x in zip([*points, *np.eye(2)], [*xs, *ends], strict=True)]
        kept, rows = np.array([p for p, row in found if row is not None]), [row for _, row in found if row is not None]
        columns = objectives(history, node)
        guides = history.guides
        singles = losses_at(history, [*members(history), *base(history)])[:, columns]
        return Side(
            plane,
            History(
                space=Tied(plane, space.groups),
                number=len(rows),
                x=kept.reshape(-1, 2),
                losses=history.losses[rows][:, columns],
                errors=history.errors[rows][:, columns],
                violations=np.empty((len(rows), 0)),
                guides=None
                if guides is None
                else Guides(guides.losses[rows][:, columns], guides.slopes[rows][:, columns]),
            ),
            best=singles.min(axis=0),
            span=np.where(np.ptp(singles, axis=0) > 0, np.ptp(singles, axis=0), 1.0),
        )


def reach_of(space: Space, row: FloatArray) -> tuple[FloatArray, float]:
    """X of a row, and 1; where the row lies beyond the bounds, of the largest part of it within, and that part.

    Raises:
        InputError: the space contains no part of it, the zero row included.
    """
    for part in np.linspace(1.0, 0.0, 21):
        x = space.vector(CoefficientTable.tied(part * row, space.groups))
        if x is not None:
            return x, float(part)
    raise InputError(
        f"the space does not contain the merge {row.round(4).tolist()} nor any part of it; nested MAP needs a box, "
        "or a simplex with a scale"
    )


def require_merges(space: Space) -> None:
    """Refuse a space without merges in any ratio, such as soups of equal shares, or a grid.

    Raises:
        InputError: it is one.
    """
    row = 0.31 + 0.07 * np.sin(np.arange(1, space.members + 1))  # no ratio of two of them is a round number
    if reach_of(space, row / space.members)[1] == 0.0:
        raise InputError(
            "the space contains no merges in any ratio, which nested MAP goes by; take kind box, or simplex with a "
            "scale, without 'step'"
        )
