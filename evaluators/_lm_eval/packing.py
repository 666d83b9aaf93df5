"""From pieces to batches: what begins alike read once, rows of similar length together, within a budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .pieces import Piece
from .stages import IntArray


@dataclass(frozen=True)
class Row:
    """What the model reads in one row of a batch, and the numbers of the pieces that it answers.

    Attributes:
        tokens: of the row.
        pieces: numbers of pieces; what each reads is the beginning of the row.
    """

    tokens: tuple[int, ...]
    pieces: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Budget:
    """What one forward pass may hold.

    Attributes:
        tokens: rows times the longest row.
        scored: places whose logits are computed.
    """

    tokens: int
    scored: int

    @classmethod
    def of(cls, pieces: Iterable[Piece], batch_size: int) -> Budget:
        """Room for `batch_size` pieces as long as the longest, and with as many scored tokens as any."""
        sizes = [(len(one.tokens) - 1, one.scored) for one in pieces]
        return cls(*(batch_size * max(column) for column in zip(*sizes, strict=True)))


def rows_of(pieces: Sequence[Piece], numbers: Iterable[int]) -> list[Row]:
    """One row for each of some pieces, but for those that begin another row, which answers them along with its own.

    In a causal model, what stands behind a token has no part in its logits. So one row answers all continuations of
    one token, and a short one with a longer one that begins alike.
    """
    rows: list[Row] = []
    for number in sorted(numbers, key=lambda one: pieces[one].read, reverse=True):
        read = tuple(pieces[number].read)
        # In this order, whatever begins with `read` has come just before.
        if not rows or rows[-1].tokens[: len(read)] != read:
            rows.append(Row(read))
        rows[-1].pieces.append(number)
    return rows


def packed(pieces: Sequence[Piece], units: Iterable[Sequence[Row]], budget: Budget, per_pass: float) -> list[list[Row]]:
    """Batches of rows, the longest first, so that memory runs out at once or never.

    Args:
        pieces: what the rows' numbers mean.
        units: rows that stay together, since they begin alike, but where they exceed the budget.
        budget: of each batch; a row that exceeds it stands alone.
        per_pass: what one more batch costs, in tokens.
    """

    def sizes(rows: Sequence[Row]) -> tuple[int, int, int]:
        return max(len(row.tokens) for row in rows), len(rows), sum(_scored(pieces, row) for row in rows)

    whole: list[tuple[tuple[int, int, int], Sequence[Row]]] = []
    for unit in units:
        width, count, scored = sizes(unit)
        fits = width * count <= budget.tokens and scored <= budget.scored
        whole += [(sizes(part), part) for part in ([unit] if fits else [[row] for row in unit])]
    whole.sort(key=lambda one: -one[0][0])
    bounds = parted(np.array([size for size, _ in whole], dtype=np.int64), budget, per_pass)
    return [[row for _, unit in whole[start:end] for row in unit] for start, end in bounds]


def parted(sizes: IntArray, budget: Budget, per_pass: float) -> list[tuple[int, int]]:
    """Where to part a list, so that padded tokens, and `per_pass` for every part, add up to the least.

    Args:
        sizes: width, rows and scored places of each unit, int64, `units x 3`, the widest first.
        budget: of each part, unless it is a single unit.
        per_pass: what one more part costs, in tokens.

    Returns:
        First unit of each part, and the one behind its last.
    """
    widths = sizes[:, 0]
    rows, scored = (np.concatenate([[0], np.cumsum(column)]) for column in sizes.T[1:])
    least, before = np.zeros(len(sizes) + 1), np.zeros(len(sizes) + 1, dtype=np.int64)
    first = 0  # the earliest unit that a part up to `end` may begin with, which only moves on
    for end in range(1, len(sizes) + 1):
        tokens = (rows[end] - rows[first:end]) * widths[first:end]
        held = (tokens <= budget.tokens) & (scored[end] - scored[first:end] <= budget.scored)
        skipped = int(held.argmax()) if held.any() else end - 1 - first
        first += skipped
        costs = least[first:end] + tokens[skipped:] + per_pass
        before[end], least[end] = first + costs.argmin(), costs.min()
    bounds = [(int(before[len(sizes)]), len(sizes))] if len(sizes) else []
    while bounds and bounds[-1][0] > 0:
        bounds.append((int(before[bounds[-1][0]]), bounds[-1][0]))
    return bounds[::-1]


def _scored(pieces: Sequence[Piece], row: Row) -> int:
    """How many places of a row are scored, by one piece or several."""
    ends = [(pieces[number].scored, len(pieces[number].read)) for number in row.pieces]
    return len({place for count, end in ends for place in range(end - count, end)})
