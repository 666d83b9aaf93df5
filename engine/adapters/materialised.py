"""The tensors of a candidate that lives as adapters, merged one by one when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable
from ..storage.storage import sum_dtype
from .adapter_bank import AdapterBank
from .stack import Stack


class Materialised(Mapping[str, torch.Tensor]):
    """What a write into the weights would have left in each tensor, bit for bit; holds none of them.

    Args:
        bank: the members.
        groups: which row of the table each tensor follows.
        table: the candidate.
        tensors: the base's, by name.
    """

    def __init__(
        self, bank: AdapterBank, groups: Groups, table: CoefficientTable, tensors: Mapping[str, torch.Tensor]
    ) -> None:
        self._bank, self._groups, self._table = bank, groups, table
        self._tensors = tensors

    @torch.no_grad()
    def __getitem__(self, name: str) -> torch.Tensor:
        base = self._tensors[name].detach()
        if name not in self._bank.stacks:
            return base
        row = self._table.members[self._groups.of[name]]
        if not row[self._bank.stacks[name].owners].any():
            return base
        # From the files once more, in the dtype to sum in: the live factors are rounded to the weights' dtype.
        read = {number: source.low_rank(name) for number, source in enumerate(self._bank.sources)}
        factors = {number: factor for number, factor in read.items() if factor is not None}
        delta = Stack.of(factors, base.device, sum_dtype(base.dtype)).delta(row)
        return (base.to(delta.dtype) + delta).to(base.dtype)

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)
