"""Coefficient gradients: ∂L/∂C[g, i] = Σ over p in g of ⟨∂L/∂θ_p, tᵢ(p)⟩, taken while the backward pass runs.

θ = c₀·θ₀ + Σ C·t is linear, so this product is the whole chain rule: no autograd graph passes through the merge. A
hook on each tensor takes the products as soon as its gradient is complete and drops it, so that never more than the
gradients in flight live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from ...spaces.groups import Groups
from ...spaces.table import FloatArray
from ..bank.bank import DeltaBank
from ..bank.layout import Slot
from ..kernels.products import products_for
from .segment_gradient import SegmentGradient

Hook = Callable[[torch.Tensor], None]


class CoefficientGradient:
    """The sum of ∂L/∂C over all backward passes so far."""

    def __init__(self, segments: list[SegmentGradient], groups: Groups, columns: int) -> None:
        self._segments, self._groups, self._columns = segments, groups, columns

    @property
    def members(self) -> FloatArray:
        """∂L/∂C, float64, `groups x members`."""
        total = np.zeros((len(self._groups), self._columns))
        for segment in self._segments:
            segment.add_to(total, self._groups)
        return total

    def hooks(self) -> dict[str, Hook]:
        """A hook for each tensor that a member changes: it takes the products and drops the gradient."""
        return {slot.name: _hook(segment, slot) for segment in self._segments for slot in segment.slots}


class Pullback:
    """What taking coefficient gradients needs, compiled once for all backward passes.

    Args:
        bank: that the model is bound to.
        groups: which row of the table each tensor follows.
        kernel: one of `kernel.KERNELS`.
    """

    def __init__(self, bank: DeltaBank, groups: Groups, kernel: str) -> None:
        self._bank, self._groups = bank, groups
        self._products = [products_for(segment, kernel) for segment in bank.segments]

    @contextmanager
    def collecting(self, tensors: Mapping[str, torch.Tensor]) -> Iterator[CoefficientGradient]:
        """Hook the model's tensors (by name), and let gradients flow to those that a member changes, and no others."""
        segments = [SegmentGradient(*pair) for pair in zip(self._bank.segments, self._products, strict=True)]
        gradient = CoefficientGradient(segments, self._groups, len(self._bank.members))
        hooks = gradient.hooks()
        before = {name: (tensor.requires_grad, tensor.grad) for name, tensor in tensors.items()}
        with ExitStack() as stack:
            try:
                for name, tensor in tensors.items():
                    tensor.requires_grad_(name in hooks)
                    if name in hooks:
                        tensor.grad = None
                        stack.callback(tensor.register_post_accumulate_grad_hook(hooks[name]).remove)
                yield gradient
            finally:
                for name, tensor in tensors.items():
                    tensor.grad = None
                    tensor.requires_grad_(before[name][0])
                    tensor.grad = before[name][1]
        for segment in segments:
            segment.settle()


def _hook(segment: SegmentGradient, slot: Slot) -> Hook:
    def collect(tensor: torch.Tensor) -> None:
        gradient = tensor.grad
        tensor.grad = None
        if gradient is not None:
            segment.take(slot, gradient.detach())

    return collect
