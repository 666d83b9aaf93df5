"""Nested MAP's plan: which members merge with which, and how many datasets that makes one evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InputError


@dataclass(frozen=True)
class Node:
    """A member, or the merge of two nodes.

    Attributes:
        leaves: indices of the members under it, in the order of the merges.
        left: what is merged; None for a member.
        right: with what; None for a member.
    """

    leaves: tuple[int, ...]
    left: Node | None = None
    right: Node | None = None

    @property
    def merges(self) -> list[Node]:
        """The merges at and under this node, each after those it needs."""
        return [*(node for side in self.sides for node in side.merges), *([self] if self.sides else [])]

    @property
    def sides(self) -> tuple[Node, ...]:
        """What is merged, left and right; nothing for a member."""
        return () if self.left is None or self.right is None else (self.left, self.right)

    @property
    def depth(self) -> int:
        """Merges on the longest way down to a member."""
        return 1 + max(side.depth for side in self.sides) if self.sides else 0


def merged(left: Node, right: Node) -> Node:
    """The merge of two nodes."""
    return Node((*left.leaves, *right.leaves), left, right)


def tree(scores: Sequence[float], units: Sequence[str], balanced: bool = False) -> Node:
    """Merge the two nodes whose scores are nearest, until one is left; a merge scores the mean of its members.

    Args:
        scores: of each member on its own task, at least one.
        units: in which each score is given, such as fraction or percent.
        balanced: pair all nodes of one level before the next level starts, which keeps the number of
            dataset-evaluations at N log N; otherwise it may grow with N².

    Raises:
        InputError: the scores are in different units, so that none is nearer to another.
    """
    if len(set(units)) > 1:
        other = next(index for index, unit in enumerate(units) if unit != units[0])
        raise InputError(
            f"score {scores[0]:g} is a {units[0]} and score {scores[other]:g} a {units[other]}; nested MAP pairs the "
            "members with the nearest scores, so give all in one unit"
        )
    level = [Node((index,)) for index in range(len(scores))]
    while len(level) > 1:
        level = _next_level(level, scores) if balanced else _merge_nearest(level, scores)
    return level[0]


def dataset_evaluations(root: Node, samples: int, known: Sequence[Node] = ()) -> int:
    """Datasets that are scored: at every merge not known yet, each sample on all members' tasks under it."""
    return samples * sum(len(node.leaves) for node in root.merges if node not in known)


def leaf_pairs(root: Node) -> list[Node]:
    """The merges of two members, which no preference changes."""
    return [node for node in root.merges if len(node.leaves) == 2]


def _mean(node: Node, scores: Sequence[float]) -> float:
    return sum(scores[leaf] for leaf in node.leaves) / len(node.leaves)


def _nearest(nodes: Sequence[Node], scores: Sequence[float]) -> tuple[Node, Node]:
    pairs = [(left, right) for index, left in enumerate(nodes) for right in nodes[index + 1 :]]
    return min(pairs, key=lambda pair: abs(_mean(pair[0], scores) - _mean(pair[1], scores)))


def _merge_nearest(nodes: list[Node], scores: Sequence[float]) -> list[Node]:
    pair = _nearest(nodes, scores)
    return [*(node for node in nodes if node not in pair), merged(*pair)]


def _next_level(nodes: list[Node], scores: Sequence[float]) -> list[Node]:
    waiting, done = list(nodes), []
    while len(waiting) > 1:
        pair = _nearest(waiting, scores)
        waiting = [node for node in waiting if node not in pair]
        done.append(merged(*pair))
    return [*done, *waiting]
