"""Writes candidates: coefficient tables into copies of the weights, one flat buffer per segment each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable
from ..adapters.stack import Stack
from ..bank.bank import DeltaBank
from ..bank.digests import BASE
from ..bank.layout import BLOCK, Slot
from ..bank.segment import Segment
from ..kernels.kernel import Kernel, kernel_for
from ..storage.delta import TunedWeights, dense, fetched
from .fitting import check_groups, check_table


@dataclass
class Copy:
    """One set of live weights: a flat buffer per segment of the bank, `blocks x BLOCK`, that holds some candidate.

    Attributes:
        buffers: the weights.
        stale: whether tensors that no member changes may differ from the base.
    """

    buffers: tuple[torch.Tensor, ...]
    stale: bool = False


class Writer:
    """Writes tables of one grouping from one bank. Weights are always recomputed from the base, never incremented.

    Attributes:
        bank: base and deltas.
        groups: which group each tensor belongs to.
    """

    def __init__(self, bank: DeltaBank, groups: Groups, kernel: str = "auto") -> None:
        """Prepare to write one candidate at a time; `kernel` is one of `kernel.KERNELS`.

        Raises:
            InputError: the grouping does not name every tensor of the bank.
        """
        self.bank = bank
        self.groups = groups
        self._segments = [_SegmentWriter(segment, groups, kernel) for segment in bank.segments]
        self.prepare(1)

    def prepare(self, count: int) -> None:
        """Compile what writing `count` candidates at once needs, so that no write waits for the compiler."""
        for segment in self._segments:
            segment.prepare(count)

    def copy(self) -> Copy:
        """A new copy of the weights, which holds the base."""
        return Copy(tuple(segment.new_weights() for segment in self.bank.segments))

    @torch.no_grad()
    def write(self, tables: Sequence[CoefficientTable], copies: Sequence[Copy]) -> None:
        """Write one table into each copy, all from one read of the deltas.

        Raises:
            InputError: a table has another shape than `groups x members`, or is not finite; all copies are as they
                were.
        """
        for table in tables:
            check_table(table, self.groups, self.bank.members)
        # All coefficients first: moving them waits for a device, which others would wait for.
        rows = [[segment.coefficients(table) for table in tables] for segment in self._segments]
        for number, segment in enumerate(self._segments):
            segment.write(tables, rows[number], [copy.buffers[number] for copy in copies])
        for table, copy in zip(tables, copies, strict=True):
            scaled = bool((table.base != 1).any())
            if scaled or copy.stale:
                for segment, weights in zip(self._segments, copy.buffers, strict=True):
                    segment.write_unchanged(table, weights)
            copy.stale = scaled


class _SegmentWriter:
    """Writes the weights of one dtype and device."""

    def __init__(self, stored: Segment, groups: Groups, kernel: str) -> None:
        self.stored = stored
        self._groups = groups
        self._group_of_block = _group_of_block(stored, groups)
        self._kernel_for = partial(kernel_for, stored, kernel)
        self._kernels: dict[int, Kernel] = {}

    def prepare(self, count: int) -> None:
        """Build the kernel that writes `count` candidates at once."""
        if count not in self._kernels:
            self._kernels[count] = self._kernel_for(count)

    def coefficients(self, table: CoefficientTable) -> torch.Tensor:
        """c₀ and C, times the deltas' scales, for every block that dense deltas change: `active x (1 + columns)`."""
        values = np.column_stack([table.base, table.members[:, list(self.stored.columns)]])
        rows = torch.as_tensor(values, dtype=self.stored.scales.dtype).to(self.stored.device)
        spread = rows[self._group_of_block[: self.stored.active]]
        spread[:, 1:] *= self.stored.scales
        return spread

    def write(
        self, tables: Sequence[CoefficientTable], rows: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]
    ) -> None:
        """Write all tensors that a member changes; `rows` are the tables' coefficients."""
        self.prepare(len(tables))
        kernel = self._kernels[len(tables)]
        for part in self.stored.parts():
            blocks = slice(part.start, part.stop)
            outs = [buffer[blocks] for buffer in weights]
            kernel(outs, part.base, part.deltas, [of_table[blocks] for of_table in rows])
        for table, of_table, buffer in zip(tables, rows, weights, strict=True):
            self._make_exact(table, buffer)
            for slot in self.stored.slots:
                if slot.name in self.stored.factors:
                    self._write_factored(slot, table, of_table, buffer)
        self._release()

    def write_unchanged(self, table: CoefficientTable, weights: torch.Tensor) -> None:
        """Write the tensors that no dense delta changes and that no factored one is added to."""
        for slot in self.stored.slots:
            if slot.first >= self.stored.active and slot.name not in self.stored.factors:
                slot.view(weights).copy_(self._scaled_base(slot, table))
        self._release()

    def _release(self) -> None:
        """Let go of what was looked at beside the parts."""
        self.stored.tier.release(*self.stored.kept)

    def _make_exact(self, table: CoefficientTable, weights: torch.Tensor) -> None:
        """Where the rows are the base or one member itself, write what the kernel's rounding misses."""
        vertices = {number: self._vertex(table, number) for number in {*self.stored.columns, *self.stored.patches}}
        for number, delta in zip(self.stored.columns, self.stored.deltas, strict=True):
            if isinstance(delta, TunedWeights) and vertices[number].any():
                for slot in self.stored.slots:
                    if slot.first < self.stored.active and vertices[number][self._groups.of[slot.name]]:
                        slot.view(weights).copy_(slot.view(delta.weights))
        for number, patch in self.stored.patches.items():
            if vertices[number].any():
                index = patch.index.to(weights.device)
                hit = torch.as_tensor(vertices[number], device=weights.device)[self._group_of_block[index // BLOCK]]
                weights.view(-1)[index[hit]] = patch.value.to(weights.device)[hit]

    def _vertex(self, table: CoefficientTable, number: int) -> NDArray[np.bool_]:
        """Of each group: whether its row is that member and nothing else, or the base (`BASE`)."""
        one_hot = np.zeros(table.members.shape[1])
        if number != BASE:
            one_hot[number] = 1.0
        return np.asarray((table.members == one_hot).all(axis=1) & (table.base == 1.0))

    def _write_factored(self, slot: Slot, table: CoefficientTable, rows: torch.Tensor, weights: torch.Tensor) -> None:
        """Base + dense deltas + Σ C·s·B·A, with one matrix product over the concatenated factors."""
        factors = self.stored.factors[slot.name]
        group = self._groups.of[slot.name]
        if not table.members[group, list(factors)].any():
            if slot.first >= self.stored.active:
                slot.view(weights).copy_(self._scaled_base(slot, table))
            return
        delta = Stack.of(factors, weights.device, self.stored.scales.dtype).delta(table.members[group])
        if slot.first < self.stored.active:
            stop = slot.first + slot.blocks
            base = self.stored.base[slot.first : stop].to(rows.device)
            for column, stored in enumerate(self.stored.deltas, start=1):
                blocks = dense(fetched(stored, slot.first, stop, rows.device), base, rows.dtype)
                delta += (rows[slot.first : stop, column : column + 1] * blocks).view(-1)[: slot.size].view(slot.shape)
        slot.view(weights).copy_(slot.view(self.stored.base).to(delta) * table.base[group] + delta)

    def _scaled_base(self, slot: Slot, table: CoefficientTable) -> torch.Tensor:
        base = slot.view(self.stored.base)
        scale = table.base[self._groups.of[slot.name]]
        return base if scale == 1.0 else base.to(self.stored.scales.dtype) * scale


def _group_of_block(segment: Segment, groups: Groups) -> torch.Tensor:
    check_groups(groups, [slot.name for slot in segment.slots])
    numbers = torch.tensor([groups.of[slot.name] for slot in segment.slots])
    return numbers.repeat_interleave(torch.tensor([slot.blocks for slot in segment.slots])).to(segment.device)
