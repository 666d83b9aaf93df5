"""What the rows of a batch begin with is read once: the batch is cut into stages that read distinct prefixes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Stage:
    """One forward pass.

    Attributes:
        parents: row of the stage before that each row goes on from, int64, `rows`; None in the first stage.
        tokens: int64, `rows x width`.
    """

    parents: IntArray | None
    tokens: IntArray


def staged(tokens: IntArray, until: int, per_pass: float) -> list[Stage]:
    """Cut a batch into stages.

    Args:
        tokens: int64, `rows x width`, in lexicographic order; what stands behind the end of a row does not matter.
        until: last place where it may be cut, within every row.
        per_pass: what one more forward pass costs, in tokens.

    Returns:
        The last stage has all the rows in their order.
    """
    count, width = tokens.shape
    differ = tokens[1:] != tokens[:-1]
    shared = np.where(differ.any(axis=1), differ.argmax(axis=1), width)
    stages: list[Stage] = []
    groups, start = np.zeros(count, dtype=np.int64), 0
    for end in [*cuts(shared, until, width, per_pass), width]:
        begins = np.concatenate([[True], (shared < end) | (end == width)])
        firsts = np.flatnonzero(begins)
        stages.append(Stage(groups[firsts] if start else None, tokens[firsts, start:end]))
        groups, start = np.cumsum(begins) - 1, end
    return stages


def cuts(shared: IntArray, until: int, width: int, per_pass: float) -> list[int]:
    """Where to cut, so that the tokens that are read, and `per_pass` for each further pass, add up to the least.

    The distinct prefixes up to a place are as many as there are neighbours that share less, and one. So the best
    places lie where two neighbours part, and dynamic programming over those finds the best of all.

    Args:
        shared: how many first tokens neighbouring rows share, int64, `rows - 1`.
        until: last place for a cut.
        width: of the longest row.
        per_pass: what one more forward pass costs, in tokens.

    Returns:
        Places in ascending order; none where one pass over everything costs the least.
    """
    inner = np.unique(np.minimum(shared, until))
    places = np.concatenate([[0], inner[inner > 0], [width]])
    counts = [*(1 + np.count_nonzero(shared < place) for place in places[1:-1]), len(shared) + 1]
    least, before = np.zeros(len(places)), [0]
    for number, count in enumerate(counts, start=1):
        costs = least[:number] + count * (places[number] - places[:number]) + per_pass
        before.append(int(costs.argmin()))
        least[number] = costs.min()
    found, number = [], before[-1]
    while number > 0:
        found.append(int(places[number]))
        number = before[number]
    return found[::-1]


def whole(stages: Sequence[Stage]) -> IntArray:
    """All that each row of the last stage goes on from, and itself: int64, `rows x width`."""
    tokens = stages[0].tokens
    for stage in stages[1:]:
        tokens = np.concatenate([tokens[stage.parents], stage.tokens], axis=1)
    return tokens
