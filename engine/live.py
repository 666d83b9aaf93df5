"""The live model: its parameters are views into flat buffers, and `write` turns it into any candidate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ..errors import InputError
from ..spaces.groups import Groups
from ..spaces.table import CoefficientTable
from .bank import DeltaBank
from .kernel import kernel_for
from .layout import BLOCK, Slot
from .pullback import CoefficientGradient
from .segment import Segment
from .source import Source
from .tensors import floating_tensors

_LARGEST = float(np.finfo(np.float32).max)  # coefficients become fp32 numbers in the kernel


class LiveModel:
    """A model bound to a bank. Weights are always recomputed from the base, never incremented.

    Attributes:
        model: the bound module; its floating tensors that the bank holds are views into this object's buffers.
        bank: base and deltas.
        groups: which group each tensor belongs to.
    """

    def __init__(self, model: nn.Module, bank: DeltaBank, groups: Groups, kernel: str = "auto") -> None:
        """Bind `model`; its weights become the base's.

        Raises:
            InputError: the grouping does not name every tensor of the bank.
        """
        self.model = model
        self.bank = bank
        self.groups = groups
        self._segments = [_LiveSegment(segment, groups, kernel) for segment in bank.segments]
        self._stale = False  # whether tensors that no member changes may differ from the base
        tensors = floating_tensors(model)
        for segment in self._segments:
            for slot in segment.stored.slots:
                tensors[slot.name].data = slot.view(segment.weights)

    @torch.no_grad()
    def write(self, table: CoefficientTable) -> None:
        """Make the live model the candidate of `table`, in place.

        Rows that are a member's one-hot give that member bit for bit where its deltas are stored exactly; a row of
        zeros gives the base. Tensors that no member changes are not touched while c₀ = 1.

        Raises:
            InputError: the table has another shape than `groups x members`, or is not finite; the weights are
                as they were.
        """
        self._check(table)
        scaled = bool((table.base != 1).any())
        for segment in self._segments:
            segment.write(table, everything=scaled or self._stale)
        self._stale = scaled

    @torch.no_grad()
    def write_source(self, source: Source) -> None:
        """Make the live model a checkpoint as it stands on disk, whatever transform the bank went through."""
        self.write(CoefficientTable.tied(np.zeros(len(self.bank.members)), len(self.groups.names)))
        self._stale = True
        for segment in self._segments:
            for slot in segment.stored.slots:
                view = slot.view(segment.weights)
                if source.holds(slot.name):
                    view.copy_(source.read(slot.name))
                factors = source.low_rank(slot.name)
                if factors is not None:
                    view.copy_(view.to(segment.stored.scales.dtype) + factors.dense().to(view.device))

    @contextmanager
    def pullback(self) -> Iterator[CoefficientGradient]:
        """Collect ∂L/∂C at the table written last, from every backward pass inside of the `with`.

        Gradients flow to the tensors that a member changes, and to no others; they are dropped as they are used, and
        the tensors' own `.grad` and `requires_grad` are afterwards what they were. Buffers that a module reads in a
        way that autograd does not follow (running statistics) add nothing.
        """
        gradient = CoefficientGradient(self.bank.segments, self.groups, len(self.bank.members))
        tensors = floating_tensors(self.model)
        with torch.enable_grad(), gradient.collecting(tensors):
            yield gradient

    @property
    def groups_digest(self) -> str:
        """Identity of the grouping: which row of a table each tensor follows (hexadecimal)."""
        return hashlib.sha256(repr(sorted(self.groups.of.items())).encode()).hexdigest()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every floating tensor of the model by name, as it stands now: views, not copies."""
        return {name: tensor.detach() for name, tensor in floating_tensors(self.model).items()}

    def _check(self, table: CoefficientTable) -> None:
        wanted = (len(self.groups.names), len(self.bank.members))
        if table.members.shape != wanted or table.base.shape != wanted[:1]:
            given = " x ".join(map(str, table.members.shape))
            raise InputError(
                f"the coefficient table is {given} with {table.base.size} numbers for the base, "
                f"but there are {wanted[0]} groups and {wanted[1]} members; build it for this grouping"
            )
        for values in (table.members, table.base):
            beyond = values[~(np.abs(values) <= _LARGEST)]
            if beyond.size:
                raise InputError(f"the coefficient table holds {beyond[0]}, no finite fp32 number; give finite numbers")


class _LiveSegment:
    """The live weights of one dtype."""

    def __init__(self, stored: Segment, groups: Groups, kernel: str) -> None:
        self.stored = stored
        self.weights = stored.base.clone()
        self._group_of_block = _group_of_block(stored, groups)
        self._kernel = kernel_for(kernel, stored.active * BLOCK)
        self._patched_groups = {
            number: self._group_of_block[patch.index // BLOCK] for number, patch in stored.patches.items()
        }

    def write(self, table: CoefficientTable, everything: bool) -> None:
        """Write all changed tensors; with `everything`, also those that no member changes."""
        stored, active = self.stored, self.stored.active
        if everything:
            rows = self._rows(table.base[:, None], active, len(stored.base))
            self.weights[active:] = (rows * stored.base[active:].to(rows.dtype)).to(self.weights.dtype)
        if active:
            rows = self._rows(np.column_stack([table.base, table.members[:, list(stored.columns)]]), 0, active)
            rows[:, 1:] *= stored.scales
            self._kernel(self.weights[:active], stored.base[:active], stored.deltas, rows)
            self._patch(table)
        for slot in stored.slots:
            if slot.name in stored.factors:
                self._write_factored(slot, table)

    def _rows(self, values: np.ndarray, start: int, stop: int) -> torch.Tensor:
        """Spread rows per group, `groups x columns`, over blocks, `(stop - start) x columns`."""
        spread = torch.as_tensor(values, dtype=self.stored.scales.dtype, device=self.weights.device)
        return spread[self._group_of_block[start:stop]]

    def _patch(self, table: CoefficientTable) -> None:
        for number, patch in self.stored.patches.items():
            one_hot = np.zeros(table.members.shape[1])
            if number >= 0:
                one_hot[number] = 1.0
            exact = (table.members == one_hot).all(axis=1) & (table.base == 1.0)
            if exact.any():
                hit = torch.as_tensor(exact, device=self.weights.device)[self._patched_groups[number]]
                self.weights.view(-1)[patch.index[hit]] = patch.value[hit]

    def _write_factored(self, slot: Slot, table: CoefficientTable) -> None:
        """Base + dense deltas + Σ C·s·B·A, with one matrix product over the concatenated factors."""
        stored = self.stored
        group = int(self._group_of_block[slot.first])
        coefficients = {number: table.members[group, number] for number in stored.factors[slot.name]}
        if not any(coefficients.values()):
            if slot.first >= stored.active:
                slot.view(self.weights).copy_(self._dense_part(slot, table, group))
            return
        factors = stored.factors[slot.name]
        dtype = stored.scales.dtype
        up = torch.cat([factors[n].up.to(dtype) * (coefficients[n] * factors[n].scale) for n in factors], dim=1)
        down = torch.cat([factors[n].down.to(dtype) for n in factors], dim=0)
        delta = up @ down
        for column, buffer in zip(stored.columns, stored.deltas, strict=True):
            if slot.first < stored.active:
                scale = float(stored.scales[slot.first, stored.columns.index(column)])
                delta += (table.members[group, column] * scale) * slot.view(buffer).to(dtype)
        view = slot.view(self.weights)
        view.copy_(slot.view(stored.base).to(dtype) * table.base[group] + delta)

    def _dense_part(self, slot: Slot, table: CoefficientTable, group: int) -> torch.Tensor:
        base = slot.view(self.stored.base)
        return base if table.base[group] == 1.0 else base * table.base[group]


def _group_of_block(segment: Segment, groups: Groups) -> torch.Tensor:
    missing = [slot.name for slot in segment.slots if slot.name not in groups.of]
    if missing:
        raise InputError(f"the grouping names no group for tensor '{missing[0]}'; build it from this model's tensors")
    numbers = [groups.of[slot.name] for slot in segment.slots for _ in range(slot.blocks)]
    return torch.tensor(numbers, dtype=torch.int64, device=segment.base.device)
