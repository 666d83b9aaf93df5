"""Adapters of all members beside one base: what candidates are made of where no dense weight is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from ...errors import CheckpointError, InputError
from ..bank.change import Change
from ..bank.digests import BASE, Digests
from ..bank.member import Member
from ..checkpoints.adapter import AdapterCheckpoint, LowRank
from ..checkpoints.finite import all_finite
from ..checkpoints.source import Source
from .stack import Stack


@dataclass(frozen=True)
class AdapterBank:
    """The factors of all members, in the dtype and on the device of the weights that they belong to.

    Attributes:
        sources: the members, in the order of the coefficient table's columns.
        names: of all tensors that a table speaks of, changed or not.
        stacks: weight's name -> all members' factors.
        content: digest of all tensors read while it was built.
        identical: names of members that change nothing.
        twins: pairs of names, first and later, of further members whose factors are the same.
    """

    sources: tuple[Source, ...]
    names: tuple[str, ...]
    stacks: Mapping[str, Stack]
    content: str
    identical: tuple[str, ...]
    twins: tuple[tuple[str, str], ...]

    @property
    def members(self) -> tuple[str, ...]:
        """Names, in the order of the coefficient table's columns."""
        return tuple(source.name for source in self.sources)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the model that any table gives (hexadecimal); a bank of dense deltas has another one."""
        return hashlib.sha256(repr((self.content, "adapters", self.members)).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all factors; the base is in the model alone."""
        sides = [side for stack in self.stacks.values() for side in (stack.up, stack.down)]
        return sum(side.numel() * side.element_size() for side in sides)


def build_adapter_bank(
    tensors: Mapping[str, torch.Tensor], members: Sequence[Member], live: Mapping[str, torch.Tensor]
) -> AdapterBank:
    """Read base and members once, tensor by tensor, and stack the factors beside the live weights.

    Args:
        tensors: the base's floating tensors by name, in the live model's dtypes and on its devices.
        members: what to merge; at least one, adapters all of them.
        live: the model's own tensors, which are set to the base's.

    Raises:
        InputError: no members, or one that is no adapter or changes a whole tensor; names it.
        CheckpointError: a tensor is not finite; names member and tensor.
    """
    _check_adapters(members)
    digests = Digests([member.name for member in members])
    stacks = {}
    for name, base in tensors.items():
        if not all_finite(base):
            raise CheckpointError(f"the base's tensor '{name}' holds NaN or infinite values as {base.dtype}")
        digests.note(BASE, name, base)
        if factors := _factors(members, name, base, digests):
            stacks[name] = _stacked(factors, base, name)
        live[name].detach().copy_(base)
    used = {int(number) for stack in stacks.values() for number in stack.owners}
    return AdapterBank(
        sources=tuple(member.source for member in members),
        names=tuple(tensors),
        stacks=stacks,
        content=digests.content(),
        identical=tuple(member.name for number, member in enumerate(members) if number not in used),
        twins=digests.twins(used),
    )


def _check_adapters(members: Sequence[Member]) -> None:
    if not members:
        raise InputError("there are no members to merge; name at least one adapter")
    for member in members:
        if not isinstance(member.source.checkpoint, AdapterCheckpoint):
            raise InputError(
                f"member '{member.name}' is no LoRA adapter, so it cannot be kept beside the base; "
                "set models.adapters: merged"
            )


def _factors(members: Sequence[Member], name: str, base: torch.Tensor, digests: Digests) -> dict[int, LowRank]:
    """What the members have for one weight, by their number; noted in the digests."""
    found = {}
    for number, member in enumerate(members):
        _check_factored(member, name, base)
        factor = member.source.low_rank(name)
        if factor is not None:
            digests.note(number, f"{name} x {factor.scale}", factor.up, factor.down)
            found[number] = factor
    return found


def _check_factored(member: Member, name: str, base: torch.Tensor) -> None:
    """Whole tensors are allowed as far as they are the base's: PEFT saves embeddings beside their factors."""
    if Change(member, name, base.reshape(-1)).differs(slice(None)):
        raise InputError(
            f"member '{member.name}' holds the whole tensor '{name}', so it is more than an adapter's factors; "
            "set models.adapters: merged"
        )


def _stacked(factors: Mapping[int, LowRank], base: torch.Tensor, name: str) -> Stack:
    stack = Stack.of(factors, base.device, base.dtype)
    if not (all_finite(stack.up) and all_finite(stack.down)):
        raise CheckpointError(
            f"the factors of '{name}' exceed the range of {base.dtype}; set a wider models.dtype, "
            "or models.adapters: merged"
        )
    return stack
