"""Checkpoints in memory, random banks, and comparisons to the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from mergesearch.engine.bank.bank import DeltaBank, build_bank
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.checkpoint import Checkpoint, TensorHeader
from mergesearch.engine.checkpoints.source import Source, Target
from mergesearch.engine.devices.devices import HOST, has_fp64
from mergesearch.engine.devices.placement import Placement
from mergesearch.engine.live.live import LiveModel
from mergesearch.spaces.groups import Groups
from mergesearch.spaces.table import CoefficientTable

torch.set_num_threads(1)

Tensors = Mapping[str, torch.Tensor]


class MemoryCheckpoint(Checkpoint):
    """Tensors in memory; counts how often each is read."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__(Path("memory"))
        self.tensors = tensors
        self.reads: Counter[str] = Counter()

    @property
    def headers(self) -> Mapping[str, TensorHeader]:
        return {name: TensorHeader(tuple(value.shape), value.dtype) for name, value in self.tensors.items()}

    def read(self, name: str) -> torch.Tensor:
        self.reads[name] += 1
        return self.tensors[name].clone()


class Bag(nn.Module):
    """A module whose parameters are copies of given tensors."""

    def __init__(self, tensors: Tensors) -> None:
        super().__init__()
        for name, value in tensors.items():
            self.register_parameter(name, nn.Parameter(value.clone()))


@dataclass(frozen=True)
class World:
    """Base and members in memory, the grouping of their tensors, and where banks and modules of them are placed."""

    base: Tensors
    members: Sequence[Tensors]
    groups: Groups
    device: torch.device = HOST

    def bank(self, **options: Any) -> DeltaBank:
        """A bank of all members."""
        return build_bank(self.placed(), self.sources(), BankOptions(**options))

    def placed(self) -> Tensors:
        """The base on its device."""
        return {name: value.to(self.device) for name, value in self.base.items()}

    def sources(self) -> list[Member]:
        """The members, named a, b, c, …"""
        target = target_of(self.base)
        named = zip("abcdefgh", self.members, strict=False)
        return [Member(name, Source(name, MemoryCheckpoint(member), target)) for name, member in named]

    def live(self, kernel: str = "eager", **options: Any) -> LiveModel:
        """A bound module."""
        return LiveModel(Bag(self.placed()), self.bank(**options), self.groups, kernel)

    def table(self, rows: Any, base: Any = None) -> CoefficientTable:
        """A table from one row per group, or from one for all of them."""
        members = np.broadcast_to(np.asarray(rows, dtype=float), (len(self.groups), len(self.members)))
        return CoefficientTable(members.copy(), np.ones(len(members)) if base is None else np.array(base, dtype=float))

    def merged(self, table: CoefficientTable) -> dict[str, torch.Tensor]:
        """The candidate, in fp64 and without any rounding to the live dtype."""
        return {name: self._merged(name, table) for name in self.base}

    def _merged(self, name: str, table: CoefficientTable) -> torch.Tensor:
        group = self.groups.of[name]
        base = self.base[name].double()
        deltas = [row * (m[name].double() - base) for row, m in zip(table.members[group], self.members, strict=True)]
        merged: torch.Tensor = table.base[group] * base + sum(deltas, torch.zeros_like(base))
        return merged


def supported(device: torch.device, dtypes: Sequence[torch.dtype]) -> list[torch.dtype]:
    """Those of the dtypes that the device computes in."""
    return [dtype for dtype in dtypes if dtype != torch.float64 or has_fp64(device)]


def on(device: torch.device, model: nn.Module) -> nn.Module:
    """The module on a device, tied tensors still tied."""
    return Placement({"": device}).place(model)


def target_of(tensors: Tensors) -> Target:
    """What members must match to be merged with `tensors`."""
    return Target({name: TensorHeader(tuple(t.shape), t.dtype) for name, t in tensors.items()}, {})


def groups_of(assigned: Mapping[str, int]) -> Groups:
    """A grouping by tensor name."""
    count = max(assigned.values()) + 1
    return Groups(tuple(f"group {n}" for n in range(count)), np.linspace(0, 1, count), assigned)


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's bytes, so that -0.0 and 0.0 differ."""
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).clone()


def same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether dtype, shape and all bits agree."""
    return left.dtype == right.dtype and left.shape == right.shape and torch.equal(bits(left), bits(right))


def weights(live: LiveModel) -> dict[str, torch.Tensor]:
    """Copies of the live weights on the CPU, where tests compare them."""
    return {name: tensor.to("cpu", copy=True) for name, tensor in live.tensors().items()}


def one_rounding(value: torch.Tensor, exact: torch.Tensor, slack: Any = 0.0) -> bool:
    """Whether `value` is `exact` rounded once to its dtype: within one unit in the last place (and a slack)."""
    info = torch.finfo(value.dtype)
    value, exact = value.cpu(), exact.cpu()
    unit = torch.clamp(exact.abs().double(), min=info.tiny) * info.eps
    return bool(((value.double() - exact.double()).abs() <= unit + slack).all())


def random_tensor(kind: str, shape: Sequence[int], dtype: torch.dtype, generator: torch.Generator) -> torch.Tensor:
    """Weights of one kind: normal, subnormal, large, mixed magnitudes, or zeros of both signs."""
    value = torch.randn(shape, generator=generator, dtype=torch.float64)
    tiny, top = torch.finfo(dtype).tiny, torch.finfo(dtype).max
    exponents = torch.randint(-20, 12, tuple(shape), generator=generator, dtype=torch.float64)
    large = min(top / 64, 1e30)
    scale: Any = {"normal": 0.02, "subnormal": tiny / 8, "large": large, "mixed": 2.0**exponents, "zero": 0.0}
    scaled: torch.Tensor = value * scale[kind]
    return scaled.to(dtype)


def fine_tuned(kind: str, base: torch.Tensor, first: torch.Tensor | None, generator: torch.Generator) -> torch.Tensor:
    """A member's tensor: unchanged, near the base, far from it, sparse, another zero's sign, or the first member's."""
    noise = torch.randn(base.shape, generator=generator, dtype=torch.float64)
    spread = float(base.double().abs().max()) if base.numel() else 1.0
    near = (base.double() + noise * 1e-3 * (spread or 0.02)).to(base.dtype)
    made = {
        "unchanged": base.clone(),
        "near": near,
        "far": (noise * (spread or 1.0)).to(base.dtype),
        "sparse": torch.where(noise > 1, near, base),
        "signs": torch.where(base == 0, -base, base),
        "copy": near if first is None else first.clone(),
    }
    return made[kind]
