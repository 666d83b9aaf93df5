"""How deltas that are mostly zero are packed: a bitmask, starts to find the values by, and the values in a row."""

from __future__ import annotations

import torch

from ..bank.layout import BLOCK
from ._dense import DenseStorage, EncodedColumn
from .delta import PADDING, RUN, WORD, Delta, SparseDelta, ones
from .storage import Room

_WORDS, _RUNS = BLOCK // WORD, BLOCK // RUN
_GATHER = 0x0102040810204080  # brings the lowest bits of eight bytes together in the topmost byte


def sparse_bytes(stored: torch.dtype) -> float:
    """Bytes per weight where all are kept: value, mask, rank and start."""
    return stored.itemsize + 4 / WORD + 1 / WORD + 4 / RUN


class SparseColumn(EncodedColumn):
    """Packs the deltas that are not zero; the values grow in a scratch file until all are there."""

    def __init__(self, storage: DenseStorage, room: Room) -> None:
        super().__init__(storage, room)
        self._room = room
        self._mask = room.allocate(_WORDS, torch.int32)
        self._ranks = room.allocate(_WORDS, torch.uint8)
        large = room.blocks * BLOCK >= 2**31
        self._counts = torch.zeros(room.blocks, _RUNS, dtype=torch.int64 if large else torch.int32, device=room.device)
        # One growing row of bytes: pieces kept between large tensors that come and go leave the memory full of holes.
        self._values = room.tier.scratch()

    def keep(self, first: int, deltas: torch.Tensor, codes: torch.Tensor) -> None:
        """Append what is not zero."""
        kept = deltas != 0
        blocks = slice(first, first + len(deltas))
        mask = _packed(kept)
        counts = ones(mask).view(len(mask), _RUNS, -1)
        self._mask[blocks] = mask
        self._ranks[blocks] = (counts.cumsum(dim=2, dtype=torch.int32) - counts).to(torch.uint8).view(mask.shape)
        self._counts[blocks] = counts.sum(dim=2, dtype=self._counts.dtype)
        self._values.write(codes[kept].cpu().view(torch.uint8).numpy().data)

    def finish(self) -> Delta:
        """Add up the counts, and move the values to where they stay."""
        counts = self._counts.view(-1)
        starts = self._room.flat(len(counts), counts.dtype).view_as(self._counts)
        starts.copy_((counts.cumsum(dim=0, dtype=counts.dtype) - counts).view_as(starts))
        dtype = self.storage.stored(self._room.summed)
        values = self._room.settled(self._values, dtype, PADDING)
        self.tier.release(self._mask, self._ranks, starts)
        return SparseDelta(self._mask, starts, self._ranks, values)


def _packed(kept: torch.Tensor) -> torch.Tensor:
    """Bits of booleans, `n x BLOCK`, as words, int32, `n x 128`; the first of each 32 is the lowest bit."""
    octets = kept.contiguous().view(torch.uint8).view(torch.int64)
    return ((octets * _GATHER) >> 56).to(torch.uint8).view(torch.int32)
