"""One flat buffer per member for all tensors of one dtype, and what makes its vertices exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from .adapter import LowRank
from .layout import Slot


@dataclass(frozen=True)
class Patch:
    """Weights that the kernel misses at a vertex: int32 or int64 index into the flat buffer, and the exact value."""

    index: torch.Tensor
    value: torch.Tensor


@dataclass(frozen=True)
class Segment:
    """All tensors of one dtype, in one flat buffer per member. Blocks with dense deltas come first.

    Attributes:
        slots: where each tensor stands.
        base: θ₀, `blocks x BLOCK`.
        active: number of leading blocks that dense deltas change.
        columns: number of the member that each delta buffer belongs to.
        deltas: the buffers, `active x BLOCK` each.
        scales: what each block of each buffer is multiplied with, `active x columns`; powers of two.
        factors: tensor name -> member number -> factored delta.
        patches: member number (-1 for the base) -> corrections that make the vertex exact.
    """

    slots: tuple[Slot, ...]
    base: torch.Tensor
    active: int
    columns: tuple[int, ...]
    deltas: tuple[torch.Tensor, ...]
    scales: torch.Tensor
    factors: Mapping[str, Mapping[int, LowRank]]
    patches: Mapping[int, Patch]

    @property
    def changed(self) -> frozenset[str]:
        """Names of the tensors that any member changes."""
        return frozenset(slot.name for slot in self.slots if slot.first < self.active) | frozenset(self.factors)
