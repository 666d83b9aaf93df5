"""The member's own weights in place of deltas: how `exact` keeps 16-bit weights in 16 bits."""

from __future__ import annotations

import torch

from ..bank.layout import BLOCK
from .delta import Delta, TunedWeights
from .storage import Column, Room


class TunedColumn(Column):
    """Keeps the weights; the kernel subtracts the base as the deltas were formed, so that the bits are the same.

    Args:
        room: what they fill.
        before: the base's blocks before the first that will be put, which the member shares.
    """

    def __init__(self, room: Room, before: torch.Tensor) -> None:
        super().__init__(room)
        self._tier = room.tier
        self._buffer = room.allocate(BLOCK, room.dtype)
        self._buffer[: len(before)] = before

    def put(self, first: int, deltas: torch.Tensor) -> None:
        """Keep the weights of some blocks, `n x BLOCK`: here they stand for the deltas, and leave out no block."""
        blocks = self._buffer[first : first + len(deltas)]
        blocks.copy_(deltas)
        self._tier.release(blocks)

    def finish(self) -> Delta:
        """The weights."""
        return TunedWeights(self._buffer)
