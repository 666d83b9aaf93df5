"""The contract of a storage: what becomes of a member's deltas when they are put into blocks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import IO, ClassVar

import torch

from ..bank.layout import BLOCK
from ..devices.devices import has_fp64
from ..tiers.tier import Tier
from .delta import Delta


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which deltas are formed and summed: fp64 for fp64 weights, fp32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


_PIECE = 1 << 22  # numbers that are moved at a time


@dataclass(frozen=True)
class Room:
    """What one member's deltas in one segment are to fill.

    Attributes:
        blocks: how many blocks.
        dtype: of the live weights.
        device: of the live weights; the scales lie there.
        tier: where the deltas lie.
    """

    blocks: int
    dtype: torch.dtype
    device: torch.device
    tier: Tier

    @property
    def summed(self) -> torch.dtype:
        """The dtype that deltas come in, and are summed in."""
        return sum_dtype(self.dtype)

    def allocate(self, columns: int, dtype: torch.dtype) -> torch.Tensor:
        """Zeros, `blocks x columns`."""
        return self.flat(self.blocks * columns, dtype).view(self.blocks, columns)

    def flat(self, size: int, dtype: torch.dtype) -> torch.Tensor:
        """`size` zeros."""
        return self.tier.allocate(-(-size // BLOCK), dtype, self.device).view(-1)[:size]

    def settled(self, grown: IO[bytes], dtype: torch.dtype, padding: int = 0) -> torch.Tensor:
        """What was written into a scratch file of the tier, and `padding` zeros behind it; closes the file."""
        size = grown.tell() // dtype.itemsize
        values = self.flat(size + padding, dtype)
        grown.seek(0)
        with grown:
            for start in range(0, size, _PIECE):
                piece = torch.frombuffer(bytearray(grown.read(_PIECE * dtype.itemsize)), dtype=dtype)
                values[start : start + len(piece)] = piece
                self.tier.release(values[start : start + len(piece)])
        return values


class Column(ABC):
    """One member's deltas under construction: all zero at first.

    Attributes:
        scales: what each block is multiplied with, `blocks`, in the dtype to sum in.
        lost: Σ (d − d̂)² of all that was put and lost bits, d̂ being what is read back.
        total: Σ d² of the same; both are zero where nothing is ever lost.
    """

    def __init__(self, room: Room) -> None:
        self.scales = torch.ones(room.blocks, dtype=room.summed, device=room.device)
        self.lost = 0.0
        self.total = 0.0

    def count(self, deltas: torch.Tensor, restored: torch.Tensor) -> None:
        """Add the squares of some deltas, and of what they lost."""
        widest = torch.float64 if has_fp64(deltas.device) else torch.float32
        self.lost += float(torch.linalg.vector_norm(restored - deltas, dtype=widest)) ** 2
        self.total += float(torch.linalg.vector_norm(deltas, dtype=widest)) ** 2

    @abstractmethod
    def put(self, first: int, deltas: torch.Tensor) -> None:
        """Keep the deltas of some blocks. Blocks come in ascending order, each once, some perhaps not at all.

        Args:
            first: number of the first of them.
            deltas: finite, `n x BLOCK`, in the dtype to sum in.
        """

    @abstractmethod
    def finish(self) -> Delta:
        """What was kept, when all is put."""


class Storage(ABC):
    """A way to keep deltas."""

    lossless: ClassVar[bool] = False  # whether what is read back is what was put
    tuned: ClassVar[bool] = False  # whether a member's own 16-bit weights serve as well, and take less

    @abstractmethod
    def bytes(self, dtype: torch.dtype) -> float:
        """Bytes that the delta of one weight of `dtype` takes at most."""

    @abstractmethod
    def column(self, room: Room) -> Column:
        """Begin to keep one member's deltas.

        Raises:
            InputError: there is no room for them.
        """
