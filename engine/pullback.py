"""Coefficient gradients: ∂L/∂C[g, i] = Σ over p in g of ⟨∂L/∂θ_p, tᵢ(p)⟩, taken while the backward pass runs.

θ = c₀·θ₀ + Σ C·t is linear, so this product is the whole chain rule: no autograd graph passes through the merge. A
hook on each tensor takes the products as soon as its gradient is complete and drops it, so that never more than the
gradients in flight live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from ..spaces.groups import Groups
from ..spaces.table import FloatArray
from .layout import Slot
from .segment import Segment

Hook = Callable[[torch.Tensor], None]


class CoefficientGradient:
    """The sum of ∂L/∂C over all backward passes so far.

    Args:
        segments: of the bank that the model is bound to.
        groups: which row of the table each tensor follows.
        columns: number of members.
    """

    def __init__(self, segments: Sequence[Segment], groups: Groups, columns: int) -> None:
        # One sum per segment and device, in the dtype that its kernel sums in.
        self._sums = [torch.zeros(len(groups), columns, dtype=s.scales.dtype, device=s.base.device) for s in segments]
        self._hooks: dict[str, Hook] = {}
        for segment, total in zip(segments, self._sums, strict=True):
            for slot in segment.slots:
                if slot.name in segment.changed:
                    self._hooks[slot.name] = _hook(segment, slot, total[groups.of[slot.name]])

    @property
    def members(self) -> FloatArray:
        """∂L/∂C, float64, `groups x members`."""
        return np.asarray(sum(total.cpu().double() for total in self._sums).numpy(), dtype=np.float64)  # type: ignore[union-attr]

    @contextmanager
    def collecting(self, tensors: dict[str, torch.Tensor]) -> Iterator[None]:
        """Hook the model's tensors (by name), and let gradients flow to those that a member changes, and no others."""
        before = {name: (tensor.requires_grad, tensor.grad) for name, tensor in tensors.items()}
        with ExitStack() as stack:
            try:
                for name, tensor in tensors.items():
                    tensor.requires_grad_(name in self._hooks)
                    if name in self._hooks:
                        tensor.grad = None
                        stack.callback(tensor.register_post_accumulate_grad_hook(self._hooks[name]).remove)
                yield
            finally:
                for name, tensor in tensors.items():
                    tensor.grad = None
                    tensor.requires_grad_(before[name][0])
                    tensor.grad = before[name][1]


def _hook(segment: Segment, slot: Slot, row: torch.Tensor) -> Hook:
    """The hook of one tensor: adds its products to `row`, `members`, and drops the gradient."""

    def collect(tensor: torch.Tensor) -> None:
        gradient = tensor.grad
        tensor.grad = None
        if gradient is not None:
            _add_products(row, gradient.detach(), segment, slot)

    return collect


def _add_products(row: torch.Tensor, gradient: torch.Tensor, segment: Segment, slot: Slot) -> None:
    precise = gradient.to(row.dtype)
    if slot.first < segment.active:
        for place, (column, buffer) in enumerate(zip(segment.columns, segment.deltas, strict=True)):
            product = torch.dot(precise.flatten(), slot.view(buffer).flatten().to(row.dtype))
            row[column] += product * segment.scales[slot.first, place]
    for column, factors in segment.factors.get(slot.name, {}).items():
        # ⟨G, s·B·A⟩ = s·⟨Bᵀ·G, A⟩: the dense delta is never formed.
        row[column] += factors.scale * ((factors.up.to(row.dtype).T @ precise) * factors.down.to(row.dtype)).sum()
