"""The delta bank: base and deltas of all members, laid out once so that any candidate is one pass away."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from ..errors import InputError
from .building import SegmentBuilder
from .member import BankOptions, Member
from .segment import Segment


@dataclass(frozen=True)
class DeltaBank:
    """Base and deltas of all members on one device. Immutable; built by `build_bank`.

    Attributes:
        members: names, in the order of the coefficient table's columns.
        segments: one per dtype.
        storage: `exact` (fp32) or `fp16`.
        content: digest of all tensors read while it was built.
        identical: names of members that do not differ from their anchor in any tensor.
        twins: pairs of names, first and later, of further members whose tensors are the same.
    """

    members: tuple[str, ...]
    segments: tuple[Segment, ...]
    storage: str
    content: str
    identical: tuple[str, ...]
    twins: tuple[tuple[str, str], ...]

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the weights that any table gives: content, storage and order of members (hexadecimal)."""
        return hashlib.sha256(repr((self.content, self.storage, self.members)).encode()).hexdigest()

    @property
    def device(self) -> torch.device:
        """Where the bank lies."""
        return self.segments[0].base.device

    @property
    def names(self) -> list[str]:
        """Names of all tensors in the bank."""
        return [slot.name for segment in self.segments for slot in segment.slots]

    @property
    def bytes(self) -> int:
        """Size of base, deltas, factors and patches."""
        tensors = [t for s in self.segments for t in (s.base, s.scales, *s.deltas)]
        tensors += [t for s in self.segments for patch in s.patches.values() for t in (patch.index, patch.value)]
        factors = [f for s in self.segments for by_member in s.factors.values() for f in by_member.values()]
        tensors += [side for factor in factors for side in (factor.up, factor.down)]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def build_bank(
    tensors: Mapping[str, torch.Tensor], members: Sequence[Member], options: BankOptions | None = None
) -> DeltaBank:
    """Read every member once, tensor by tensor, and lay out its deltas on the device of `tensors`.

    Args:
        tensors: the base's floating tensors by name, in the live model's dtypes; they are copied.
        members: what to merge; at least one.
        options: storage and transform.

    Raises:
        InputError: no members.
        CheckpointError: a tensor is not finite; names member and tensor.
    """
    if not members:
        raise InputError("there are no members to merge; name at least one fine-tuned checkpoint")
    builder = SegmentBuilder(members, options or BankOptions())
    by_dtype: dict[torch.dtype, list[str]] = {}
    for name, tensor in tensors.items():
        by_dtype.setdefault(tensor.dtype, []).append(name)
    segments = tuple(builder.build(tensors, names) for names in by_dtype.values())
    used = {column for s in segments for column in s.columns}
    used |= {member for s in segments for by_member in s.factors.values() for member in by_member}
    digests: dict[str, str] = {}
    twins = [
        (digests[digest], members[number].name)
        for number, digest in ((number, builder.digest(number)) for number in sorted(used))
        if digests.setdefault(digest, members[number].name) != members[number].name
    ]
    return DeltaBank(
        members=tuple(member.name for member in members),
        segments=segments,
        storage=builder.options.storage,
        content=builder.content,
        identical=tuple(member.name for number, member in enumerate(members) if number not in used),
        twins=tuple(twins),
    )
