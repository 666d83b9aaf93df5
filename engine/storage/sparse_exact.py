"""Exactly, but only what is not zero: for members that changed few weights and must come back bit for bit."""

from __future__ import annotations

import torch

from ._sparse import SparseColumn, sparse_bytes
from .exact import Exact
from .storage import Column, Room, sum_dtype


class SparseExact(Exact):
    """d̂ = d, where d is not zero."""

    tuned = False

    def bytes(self, dtype: torch.dtype) -> float:
        """Bytes per weight if all of them are kept."""
        return sparse_bytes(sum_dtype(dtype))

    def column(self, room: Room) -> Column:
        """Begin with nothing kept."""
        return SparseColumn(self, room)
