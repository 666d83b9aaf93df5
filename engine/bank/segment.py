"""One flat buffer per member for all tensors of one dtype, and what makes its vertices exact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from ..checkpoints.adapter import LowRank
from ..storage.delta import Delta, tensors
from ..tiers.device import DeviceTier
from ..tiers.tier import Part, Tier
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
        tier: where base and deltas lie.
    """

    slots: tuple[Slot, ...]
    base: torch.Tensor
    active: int
    columns: tuple[int, ...]
    deltas: tuple[Delta, ...]
    scales: torch.Tensor
    factors: Mapping[str, Mapping[int, LowRank]]
    patches: Mapping[int, Patch]
    tier: Tier = field(default_factory=DeviceTier)

    @property
    def device(self) -> torch.device:
        """Where the live weights are."""
        return self.scales.device

    @property
    def changed(self) -> frozenset[str]:
        """Names of the tensors that any member changes."""
        return frozenset(slot.name for slot in self.slots if slot.first < self.active) | frozenset(self.factors)

    @property
    def kept(self) -> list[torch.Tensor]:
        """The tensors that lie in the tier: base, deltas and patches."""
        deltas = [tensor for delta in self.deltas for tensor in tensors(delta)]
        return [self.base, *deltas, *(side for patch in self.patches.values() for side in (patch.index, patch.value))]

    @property
    def bytes(self) -> int:
        """Size of what is kept, of scales and of factors."""
        factors = [factor for by_member in self.factors.values() for factor in by_member.values()]
        sides = [side for factor in factors for side in (factor.up, factor.down)]
        return sum(tensor.numel() * tensor.element_size() for tensor in (*self.kept, self.scales, *sides))

    def parts(self) -> Iterator[Part]:
        """The blocks that dense deltas change, part by part; a part is valid until the next is asked for."""
        return self.tier.stream(self.base, self.deltas, self.device, self.active)

    def new_weights(self) -> torch.Tensor:
        """A new buffer on the device, which holds the base."""
        weights = torch.empty(self.base.shape, dtype=self.base.dtype, device=self.device)
        for part in self.tier.stream(self.base, (), self.device, len(self.base)):
            weights[part.start : part.stop] = part.base
        return weights
