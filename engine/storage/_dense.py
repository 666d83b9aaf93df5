"""Storages that keep a number for every weight, all blocks in one buffer."""

from __future__ import annotations

from abc import abstractmethod

import torch

from ..bank.layout import BLOCK
from .delta import Delta
from .storage import Column, Room, Storage, sum_dtype


class DenseStorage(Storage):
    """A number for every weight, in units of its block's scale."""

    @abstractmethod
    def stored(self, summed: torch.dtype) -> torch.dtype:
        """The dtype of the numbers for deltas that come in the dtype `summed`."""

    @abstractmethod
    def encode(self, deltas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return numbers for some blocks, `n x BLOCK`, and the scales of these, `n`, in the dtype of the deltas."""

    def bytes(self, dtype: torch.dtype) -> float:
        """Bytes of one number."""
        return self.stored(sum_dtype(dtype)).itemsize

    def column(self, room: Room) -> Column:
        """Begin with a buffer of zeros."""
        return _DenseColumn(self, room)


class EncodedColumn(Column):
    """A column of numbers and scales, whatever becomes of the numbers.

    Args:
        storage: what makes them.
        room: what they fill.
    """

    def __init__(self, storage: DenseStorage, room: Room) -> None:
        super().__init__(room)
        self.storage = storage
        self.tier = room.tier

    def put(self, first: int, deltas: torch.Tensor) -> None:
        """Encode, and keep what it gives."""
        codes, scales = self.storage.encode(deltas)
        self.scales[first : first + len(deltas)] = scales
        self.keep(first, deltas, codes)
        if not self.storage.lossless:
            self.count(deltas, codes.to(deltas.dtype) * scales[:, None])

    @abstractmethod
    def keep(self, first: int, deltas: torch.Tensor, codes: torch.Tensor) -> None:
        """Keep the numbers (`codes`) of some blocks, as in `put`."""


class _DenseColumn(EncodedColumn):
    def __init__(self, storage: DenseStorage, room: Room) -> None:
        super().__init__(storage, room)
        self._buffer = room.allocate(BLOCK, storage.stored(room.summed))

    def keep(self, first: int, deltas: torch.Tensor, codes: torch.Tensor) -> None:
        blocks = self._buffer[first : first + len(codes)]
        blocks.copy_(codes)
        self.tier.release(blocks)

    def finish(self) -> Delta:
        return self._buffer
