"""A segment under construction: the columns that were begun, and the weights that a sum would miss."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Lock
from typing import IO

import torch

from ..checkpoints.adapter import LowRank
from ..storage._tuned import TunedColumn
from ..storage.storage import Column, Room
from .bits import bits
from .digests import bytes_of
from .layout import BLOCK, Slot
from .segment import Patch, Segment


class Draft:
    """What a segment is built from. Members may add to it side by side, each from one thread.

    Args:
        slots: where the tensors stand.
        room: what each member's deltas are to fill.
        factors: tensor name -> member number -> what stays factored.

    Attributes:
        slots: the same.
        room: the same.
        base: θ₀ in the room's tier, `blocks x BLOCK`; zeros at first.
        columns: member number -> its deltas so far.
        tuned: numbers of the members whose own weights are kept in place of their deltas.
        copied: done when the base's tensor that is being built is in `base`.
    """

    def __init__(self, slots: Sequence[Slot], room: Room, factors: Mapping[str, Mapping[int, LowRank]]) -> None:
        self.slots = slots
        self.room = room
        self.base = room.tier.allocate(sum(slot.blocks for slot in slots), room.dtype, room.device)
        self.columns: dict[int, Column] = {}
        self.tuned: set[int] = set()
        self.copied: Future[None] = Future()
        self._factors = factors
        self._misses: dict[int, tuple[IO[bytes], IO[bytes]]] = {}
        self._index_dtype = torch.int32 if self.base.numel() < 2**31 else torch.int64
        self._lock = Lock()

    def column(self, number: int, begin: Callable[[], Column]) -> Column:
        """The member's deltas; begun here where they are wanted for the first time."""
        with self._lock:  # tiers make room for one column at a time
            if number not in self.columns:
                self.columns[number] = begin()
            return self.columns[number]

    def tuned_column(self, first: int) -> Column:
        """Begin to keep a member's own weights at block `first`; before it, the member shares the base."""
        self.copied.result()
        return TunedColumn(self.room, self.base[:first])

    def note_negative_zeros(self, number: int, first: int, weights: torch.Tensor) -> None:
        """Note where the base has them: the kernel adds a zero of either sign, which makes them positive.

        Args:
            number: whose candidates are corrected.
            first: number of the first block.
            weights: the base's, flat.
        """
        integers = bits(weights)
        negative = (integers == torch.iinfo(integers.dtype).min).nonzero().view(-1)
        self.note_misses(number, first, negative, weights[negative])

    def note_misses(self, number: int, first: int, missed: torch.Tensor, values: torch.Tensor) -> None:
        """Note the weights that must be corrected where a candidate is the member `number` (-1: the base) itself.

        Args:
            number: whose.
            first: number of the first block.
            missed: positions after the start of that block, int64.
            values: what belongs there, in the live dtype.
        """
        # Growing bytes: thousands of small tensors, kept between large ones that come and go, would leave the memory
        # full of holes.
        if len(missed):
            scratch = self.room.tier.scratch
            index, kept = self._misses.get(number) or self._misses.setdefault(number, (scratch(), scratch()))
            index.write(bytes_of((missed + first * BLOCK).to(self._index_dtype)))
            kept.write(bytes_of(values))

    def finish(self) -> Segment:
        """The segment, when all members have added what they have."""
        members = tuple(sorted(self.columns))
        columns = [self.columns[number] for number in members]
        none = torch.ones(self.room.blocks, 0, dtype=self.room.summed, device=self.room.device)
        return Segment(
            slots=tuple(self.slots),
            base=self.base,
            active=self.room.blocks if columns else 0,
            columns=members,
            deltas=tuple(column.finish() for column in columns),
            scales=torch.stack([column.scales for column in columns], dim=1) if columns else none,
            factors=self._factors,
            patches={number: self._patch(*noted) for number, noted in sorted(self._misses.items())},
            tier=self.room.tier,
        )

    def _patch(self, index: IO[bytes], values: IO[bytes]) -> Patch:
        return Patch(self.room.settled(index, self._index_dtype), self.room.settled(values, self.room.dtype))
