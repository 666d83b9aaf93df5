"""The live model: its parameters are views into flat buffers, and `write` turns it into any candidate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property

import numpy as np
import torch
from torch import nn

from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable
from ..bank.bank import DeltaBank
from ..checkpoints.source import Source
from ..network.tensors import differentiable_tensors, floating_tensors
from .bound import BoundModel
from .pullback import CoefficientGradient, Pullback
from .writer import Copy, Writer


class LiveModel(BoundModel[Copy]):
    """A model bound to a bank. Weights are always recomputed from the base, never incremented.

    Attributes:
        model: the bound module; its floating tensors that the bank holds are views into a copy of the weights.
        bank: base and deltas.
        groups: which group each tensor belongs to.
        weights: the copy that `write` fills.
    """

    def __init__(self, model: nn.Module, bank: DeltaBank, groups: Groups, kernel: str = "auto") -> None:
        """Bind `model`; its weights become the base's.

        Raises:
            InputError: the grouping does not name every tensor of the bank.
        """
        self.model = model
        self.bank: DeltaBank = bank
        self.groups = groups
        self._kernel = kernel
        self._writer = Writer(bank, groups, kernel)
        tensors = floating_tensors(model)
        for name in bank.names:  # the base is in the bank: what the model holds of it makes room for the copy
            tensors[name].data = tensors[name].new_empty(0)
        self.weights = self._writer.copy()
        self._show(self.weights)

    def write(self, table: CoefficientTable) -> None:
        """Make the live model the candidate of `table`, in place.

        Rows that are a member's one-hot give that member bit for bit where its deltas are stored exactly; a row of
        zeros gives the base. Tensors that no member changes are not touched while c₀ = 1.

        Raises:
            InputError: the table has another shape than `groups x members`, or is not finite; the weights are
                as they were.
        """
        self._writer.write([table], [self.weights])

    def copies(self, count: int) -> list[Copy]:
        """Further copies of the weights, which hold the base; writing as many at once is prepared."""
        self._writer.prepare(count)
        return [self._writer.copy() for _ in range(count)]

    def write_batch(self, tables: Sequence[CoefficientTable], copies: Sequence[Copy]) -> None:
        """Write one table into each copy from one read of the deltas, each as `write` does, bit for bit.

        The copies may be those of `copies`, or the `weights` of several live models of one bank and grouping.

        Raises:
            InputError: as `write`; all copies are as they were.
        """
        self._writer.write(tables, copies)

    @contextmanager
    def showing(self, copy: Copy) -> Iterator[nn.Module]:
        """Inside of the `with`, the model's tensors are views into `copy`; no weight is moved."""
        self._show(copy)
        try:
            yield self.model
        finally:
            self._show(self.weights)

    @torch.no_grad()
    def write_source(self, source: Source) -> None:
        """Make the live model a checkpoint as it stands on disk, whatever transform the bank went through."""
        self.write(CoefficientTable.tied(np.zeros(len(self.bank.members)), len(self.groups.names)))
        self.weights.stale = True
        for segment, buffer in zip(self.bank.segments, self.weights.buffers, strict=True):
            for slot in segment.slots:
                view = slot.view(buffer)
                if source.holds(slot.name):
                    view.copy_(source.read(slot.name))
                factors = source.low_rank(slot.name)
                if factors is not None:
                    view.copy_(view.to(segment.scales.dtype) + factors.dense().to(view.device))

    def prepare_pullback(self) -> None:
        """Compile what coefficient gradients need; the first `pullback` does it otherwise."""
        _ = self._pullback

    @contextmanager
    def pullback(self) -> Iterator[CoefficientGradient]:
        """Collect ∂L/∂C at the table written last, from every backward pass inside of the `with`.

        Gradients flow to the tensors that a member changes, and to no others; they are dropped as they are used, and
        the tensors' own `.grad` and `requires_grad` are afterwards what they were. Running statistics of batch norms,
        which autograd does not follow, add nothing.
        """
        with torch.enable_grad(), self._pullback.collecting(differentiable_tensors(self.model)) as gradient:
            yield gradient

    def tensors(self) -> dict[str, torch.Tensor]:
        """Every floating tensor of the model by name, as it stands now: views, not copies."""
        return {name: tensor.detach() for name, tensor in floating_tensors(self.model).items()}

    @cached_property
    def _pullback(self) -> Pullback:
        return Pullback(self.bank, self.groups, self._kernel)

    def _show(self, copy: Copy) -> None:
        tensors = floating_tensors(self.model)
        for segment, buffer in zip(self.bank.segments, copy.buffers, strict=True):
            for slot in segment.slots:
                tensors[slot.name].data = slot.view(buffer)
