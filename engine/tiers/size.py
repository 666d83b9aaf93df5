"""How much memory base and deltas will take, known before any of them is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch

from ..bank.layout import BLOCK
from ..bank.member import BankOptions, Member
from ..checkpoints.adapter import AdapterCheckpoint
from ..network.tensors import Kind

Live = Mapping[str, torch.Tensor]
Sizes = Mapping[torch.device, Sequence[int]]


def predicted_bytes(live: Live, members: Sequence[Member], options: BankOptions) -> Sizes:
    """Bytes of each buffer, of base and deltas, at most, by device of the live weights.

    What a member turns out to share with the base takes no memory, so that the bank may become smaller. Factors and
    corrections of single weights, which are small beside dense deltas, are not counted.

    Args:
        live: the live model's tensors to merge, of which shape, dtype and device are looked at.
        members: what will be merged; their headers tell which tensors they hold.
        options: how the deltas will be stored.
    """
    changed = {member.name: _may_change(member, options) & live.keys() for member in members}
    touched = set().union(*changed.values())
    kinds: dict[Kind, dict[str, int]] = {}
    for name, tensor in live.items():
        kinds.setdefault((tensor.device, tensor.dtype), {})[name] = -(-tensor.numel() // BLOCK) * BLOCK
    sizes: dict[torch.device, list[int]] = {}
    for (device, dtype), weights in kinds.items():
        active = sum(weights[name] for name in touched & weights.keys())
        deltas = [_delta_bytes(m, options, weights.keys(), dtype) for m in members if changed[m.name]]
        sizes.setdefault(device, []).append(sum(weights.values()) * dtype.itemsize)
        sizes[device] += [int(active * of_weight) for of_weight in deltas]
    return sizes


def _delta_bytes(member: Member, options: BankOptions, names: Collection[str], dtype: torch.dtype) -> float:
    """Bytes of one member's delta of one weight."""
    return dtype.itemsize if options.keeps_weights(member, names, dtype) else options.kept.bytes(dtype)


def _may_change(member: Member, options: BankOptions) -> set[str]:
    """Names of the tensors for which a member may have a dense delta: transforms make factored ones dense, too."""
    checkpoint = member.source.checkpoint
    factored = checkpoint.factored if options.transform and isinstance(checkpoint, AdapterCheckpoint) else []
    return {*member.source.stored_as().values(), *factored}
