"""Live adapters: candidates without dense weights. The base stays as it is, and its modules add what the factors give.

    y = W·x + B · (c·s ⊙ (A·x))

A and B hold the factors of all members side by side, so that a candidate is the vector c alone: a number per member
and rank. ∂L/∂c follows by autograd, whose graph has no dense gradient: 2·ranks·(inputs + outputs) operations a token.
Forward hooks carry it, which leave the module's names, classes and state as they are. (PEFT's own layers replace the
modules, run the members one after another, keep the coefficients out of autograd, and leave a tied head as it was.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ...errors import InputError
from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable
from ..checkpoints.source import Source
from ..live.bound import BoundModel
from ..live.fitting import check_groups, check_table
from ..network.tensors import floating_tensors
from .adapter_bank import AdapterBank
from .carriage import Carriage
from .diagonals import AdapterGradient, Diagonals
from .materialised import Materialised
from .strip import strips_of


class LiveAdapters(BoundModel[Diagonals]):
    """A model that holds the base, and adapters beside it that make it any candidate.

    Attributes:
        model: the bound module; no tensor of it is ever written.
        bank: factors of all members.
        groups: which group each tensor belongs to.
        weights: the diagonals that `write` fills.
    """

    def __init__(self, model: nn.Module, bank: AdapterBank, groups: Groups) -> None:
        """Bind `model`, whose weights are the base's.

        Raises:
            InputError: the grouping does not name every tensor of the bank; a changed weight is in a module beside
                which no adapter can be kept.
        """
        check_groups(groups, bank.names)
        self.model = model
        self.bank: AdapterBank = bank
        self.groups = groups
        self._strips = strips_of(bank.stacks, groups)
        self.weights = self._shown = self._base()
        self._carriage = Carriage(model, bank.stacks, lambda name: self._shown.parts.get(name))

    def unbind(self) -> None:
        """Take the adapters off the model, which is the base again."""
        self._carriage.take_off()

    def write(self, table: CoefficientTable) -> None:
        """Make the live model the candidate of `table`.

        Raises:
            InputError: the table has another shape than `groups x members`, is not finite, or scales the base; the
                candidate is as it was.
        """
        self.write_batch([table], [self.weights])

    def copies(self, count: int) -> list[Diagonals]:
        """Further diagonals, which hold the base."""
        return [self._base() for _ in range(count)]

    @torch.no_grad()
    def write_batch(self, tables: Sequence[CoefficientTable], copies: Sequence[Diagonals]) -> None:
        """Write one table into each of the copies.

        Raises:
            InputError: as `write`; all copies are as they were.
        """
        for table in tables:
            self._check(table)
        self._carriage.warn_of_silent()
        for table, copy in zip(tables, copies, strict=True):
            copy.table, copy.parts = table, {}
            for strip, row in zip(self._strips, copy.rows, strict=True):
                values = strip.values(table.members)
                row.copy_(values)
                changed = {name for name, part in strip.parts(values).items() if part.any()}
                copy.parts |= {name: part for name, part in strip.parts(row).items() if name in changed}

    @contextmanager
    def showing(self, copy: Diagonals) -> Iterator[nn.Module]:
        """Inside of the `with`, the model is the candidate of `copy`."""
        self._shown, before = copy, self._shown
        try:
            yield self.model
        finally:
            self._shown = before

    def write_source(self, source: Source) -> None:
        """Make the live model a member as it stands on disk.

        Raises:
            InputError: it is none of the members.
        """
        row = np.array([float(member is source) for member in self.bank.sources])
        if not row.any():
            raise InputError(f"'{source.name}' is no member of these adapters, and the base's weights stay as they are")
        self.write(CoefficientTable.tied(row, len(self.groups)))

    @contextmanager
    def pullback(self) -> Iterator[AdapterGradient]:
        """Collect ∂L/∂C at the table written last, from every backward pass inside of the `with`.

        Gradients flow to the diagonals, and to no tensor of the model; their `.grad` and `requires_grad` are
        afterwards what they were.
        """
        gradient = AdapterGradient(self._strips, self._shown)
        tensors = floating_tensors(self.model).values()
        asked = [tensor for tensor in tensors if tensor.requires_grad]
        try:
            for tensor in asked:
                tensor.requires_grad_(False)
            with torch.enable_grad(), self.showing(gradient.diagonals):
                yield gradient
        finally:
            for tensor in asked:
                tensor.requires_grad_(True)

    def tensors(self) -> Materialised:
        """Every floating tensor of the candidate by name; one with factors is merged when it is asked for."""
        return Materialised(self.bank, self.groups, self._shown.table, floating_tensors(self.model))

    def _base(self) -> Diagonals:
        table = CoefficientTable.tied(np.zeros(len(self.bank.members)), len(self.groups))
        return Diagonals(table, tuple(strip.zeros.clone() for strip in self._strips), {})

    def _check(self, table: CoefficientTable) -> None:
        check_table(table, self.groups, self.bank.members)
        scaled = table.base[table.base != 1]
        if scaled.size:
            raise InputError(
                f"the base itself is scaled (c₀ = {scaled[0]}), which live adapters leave as it is; "
                "set models.adapters: merged"
            )
