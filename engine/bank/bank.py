"""The delta bank: base and deltas of all members, laid out once so that any candidate is one pass away."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from ...errors import InputError
from ..checkpoints.adapter import LowRank
from ..network.tensors import Kind, kinds_of
from ..storage.delta import SparseDelta, TunedWeights
from ..tiers.tier import Tier
from .building import SegmentBuilder
from .layout import Slot
from .member import BankOptions, Member
from .segment import Patch, Segment


@dataclass(frozen=True)
class DeltaBank:
    """Base and deltas of all members, on every device that the model stands on. Immutable; built by `build_bank`.

    Attributes:
        members: names, in the order of the coefficient table's columns.
        segments: one per device and dtype.
        storage: how the deltas are kept: name of a file in `engine/storage`.
        content: digest of all tensors read while it was built.
        identical: names of members that do not differ from their anchor in any tensor.
        twins: pairs of names, first and later, of further members whose tensors are the same.
        errors: member -> ‖d − d̂‖ / ‖d‖ of its dense deltas, d̂ being what is read back; 0 where nothing is lost.
    """

    members: tuple[str, ...]
    segments: tuple[Segment, ...]
    storage: str
    content: str
    identical: tuple[str, ...]
    twins: tuple[tuple[str, str], ...]
    errors: Mapping[str, float]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the weights that any table gives: content, storage and order of members (hexadecimal)."""
        return hashlib.sha256(repr((self.content, self.storage, self.members)).encode()).hexdigest()

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Where the live weights stand, each device once."""
        return tuple(dict.fromkeys(segment.device for segment in self.segments))

    @property
    def names(self) -> list[str]:
        """Names of all tensors in the bank."""
        return [slot.name for segment in self.segments for slot in segment.slots]

    @property
    def loss(self) -> str:
        """What the storage lost of each member's deltas, in one line for people; empty where it loses nothing."""
        lossy = {name: error for name, error in self.errors.items() if error}
        if not lossy:
            return ""
        each = ", ".join(f"{name} {error:.1e}" for name, error in lossy.items())
        worst = max(lossy, key=lambda name: lossy[name])
        return f"{self.storage} deltas, relative error: {each}; largest {lossy[worst]:.1e} ({worst})"

    @property
    def bytes(self) -> int:
        """Size of base, deltas, factors and patches."""
        return sum(segment.bytes for segment in self.segments)


# What a bank consists of, by name: the vocabulary of its file.
KINDS = {kind.__name__: kind for kind in (DeltaBank, Segment, Patch, Slot, LowRank, SparseDelta, TunedWeights)}


def grouped(kinds: Mapping[str, Kind]) -> dict[Kind, list[str]]:
    """Names of the tensors of each device and dtype, in the given order: what one segment holds."""
    names: dict[Kind, list[str]] = {}
    for name, kind in kinds.items():
        names.setdefault(kind, []).append(name)
    return names


def build_bank(
    tensors: Mapping[str, torch.Tensor],
    members: Sequence[Member],
    options: BankOptions | None = None,
    tier: Tier | None = None,
) -> DeltaBank:
    """Read every member once, tensor by tensor, and lay out its deltas for live weights on the devices of `tensors`.

    Args:
        tensors: the base's floating tensors by name, in the live model's dtypes; they are copied.
        members: what to merge; at least one.
        options: storage and transform.
        tier: where base and deltas are to lie; on the devices themselves where left out.

    Raises:
        InputError: no members, or no room for them.
        CheckpointError: a tensor is not finite; names member and tensor.
    """
    if not members:
        raise InputError("there are no members to merge; name at least one fine-tuned checkpoint")
    options = options or BankOptions()
    builder = SegmentBuilder(members, options, tier)
    segments = tuple(builder.build(tensors, names) for names in grouped(kinds_of(tensors)).values())
    used = {column for s in segments for column in s.columns}
    used |= {member for s in segments for by_member in s.factors.values() for member in by_member}
    return DeltaBank(
        members=tuple(member.name for member in members),
        segments=segments,
        storage=options.storage,
        content=builder.content,
        identical=tuple(member.name for number, member in enumerate(members) if number not in used),
        twins=builder.digests.twins(used),
        errors=builder.errors,
    )
