"""The ranks of all stacked factors of one device and dtype in a row: what coefficients are spread over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...spaces.groups import Groups
from ...spaces.table import FloatArray
from ..bank.bank import grouped
from ..storage.storage import sum_dtype
from .stack import Stack


@dataclass(frozen=True)
class Strip:
    """One number per rank, of all weights of one device and dtype.

    Attributes:
        zeros: where the numbers lie and in which dtype: zeros, `ranks`.
        lengths: weight's name -> how many ranks it has.
        groups: row of the table that each rank follows, int64, `ranks`.
        owners: number of the member that each rank belongs to, int64, `ranks`.
        scales: the adapters' own factors, float64, `ranks`.
    """

    zeros: torch.Tensor
    lengths: Mapping[str, int]
    groups: NDArray[np.int64]
    owners: NDArray[np.int64]
    scales: FloatArray

    def values(self, members: FloatArray) -> torch.Tensor:
        """C, `groups x members`, times scales, spread over the ranks; on the CPU."""
        return torch.from_numpy(members[self.groups, self.owners] * self.scales).to(self.zeros.dtype)

    def parts(self, row: torch.Tensor) -> dict[str, torch.Tensor]:
        """Each weight's part of a row, `ranks`, as a view."""
        return dict(zip(self.lengths, row.split(list(self.lengths.values())), strict=True))

    def add_gradient(self, total: FloatArray, slopes: torch.Tensor) -> None:
        """Add ∂L/∂C to `total`, `groups x members`, from the slopes in the row, `ranks`: the mirror of `values`."""
        np.add.at(total, (self.groups, self.owners), slopes.cpu().double().numpy() * self.scales)


def strips_of(stacks: Mapping[str, Stack], groups: Groups) -> tuple[Strip, ...]:
    """One strip for all weights of each device and dtype."""
    kinds = {name: (stack.up.device, stack.up.dtype) for name, stack in stacks.items()}
    return tuple(_strip({name: stacks[name] for name in names}, groups) for names in grouped(kinds).values())


def _strip(stacks: Mapping[str, Stack], groups: Groups) -> Strip:
    some: Sequence[Stack] = list(stacks.values())
    lengths = {name: len(stack.owners) for name, stack in stacks.items()}
    return Strip(
        zeros=torch.zeros(sum(lengths.values()), dtype=sum_dtype(some[0].up.dtype), device=some[0].up.device),
        lengths=lengths,
        groups=np.repeat([groups.of[name] for name in stacks], list(lengths.values())),
        owners=np.concatenate([stack.owners for stack in some]),
        scales=np.concatenate([stack.scales for stack in some]),
    )
