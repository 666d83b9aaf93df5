"""Small gradients, held until one product per run of blocks serves them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..bank.layout import BLOCK, Slot

_SMALL = 16  # blocks of the largest tensor that is held as a whole: 65,536 elements
_ROOM = 256  # blocks of all that are held as a whole: 4 MiB


@dataclass
class _Run:
    """Adjacent blocks: number of the first one in the segment, and of the first and the last one held."""

    block: int
    start: int
    stop: int


class HeldGradients:
    """Gradients of a segment's smallest tensors, and what larger ones have behind their last whole block.

    Those of several backward passes add up. The room for them is there from the first one until they are released.

    Args:
        slots: tensors that dense deltas change, in the order of their blocks.
        dtype: the dtype to sum in.
        device: where the gradients are.
    """

    def __init__(self, slots: Sequence[Slot], dtype: torch.dtype, device: torch.device) -> None:
        small = _smallest(slots)
        self.starts = {slot.name: 0 if slot.name in small else slot.size // BLOCK * BLOCK for slot in slots}
        self._places: dict[Slot, int] = {}
        self._runs: list[_Run] = []
        self._buffer = torch.empty(0, BLOCK, dtype=dtype, device=device)
        self._rooms: dict[str, torch.Tensor] = {}
        for slot in slots:
            self._append(slot, self.starts[slot.name] // BLOCK)

    def _append(self, slot: Slot, whole: int) -> None:
        """Provide for the blocks of a tensor from number `whole` on."""
        if whole == slot.blocks:
            return
        block, place = slot.first + whole, self._runs[-1].stop if self._runs else 0
        if not self._runs or block - self._runs[-1].block != place - self._runs[-1].start:
            self._runs.append(_Run(block, place, place))
        self._places[slot] = place
        self._runs[-1].stop += slot.blocks - whole

    def add(self, slot: Slot, elements: torch.Tensor) -> None:
        """Add a gradient, or its elements from `starts` on where that is not the first; of any dtype."""
        if not self._rooms:
            self._make_room()
        self._rooms[slot.name] += elements

    def release(self) -> Iterator[tuple[int, torch.Tensor]]:
        """Hand over what is held: number of the first block in the segment, and the run, `blocks x BLOCK`."""
        buffer, self._buffer = self._buffer, self._buffer[:0]
        self._rooms = {}
        for run in self._runs if len(buffer) else []:
            yield run.block, buffer[run.start : run.stop]

    def _make_room(self) -> None:
        self._buffer = self._buffer.new_zeros(self._runs[-1].stop, BLOCK)
        for slot, place in self._places.items():
            start = self.starts[slot.name]
            room = self._buffer[place:].view(-1)[: slot.size - start]
            self._rooms[slot.name] = room if start else room.view(slot.shape)


def _smallest(slots: Sequence[Slot]) -> set[str]:
    found, total = set(), 0
    for slot in sorted(slots, key=lambda slot: slot.blocks):
        total += slot.blocks
        if slot.blocks > _SMALL or total > _ROOM:
            break
        found.add(slot.name)
    return found
