"""Coefficient gradients of one segment: the products of each gradient with the deltas, as it comes."""

from __future__ import annotations

import numpy as np
import torch

from ...spaces.groups import Groups
from ...spaces.table import FloatArray
from ..bank.layout import BLOCK, Slot
from ..bank.segment import Segment
from ..kernels.kernel import chunks
from ..kernels.products import Products, add_products, factored_products
from ..storage.delta import cut
from .held import HeldGradients


class SegmentGradient:
    """Products so far: one sum per block and member, and one per rank of the factored deltas.

    Args:
        segment: the deltas.
        products: what takes the products of gradients of the segment's own dtype.

    Attributes:
        slots: the tensors that a member changes.
    """

    def __init__(self, segment: Segment, products: Products) -> None:
        self.slots = [slot for slot in segment.slots if slot.size and slot.name in segment.changed]
        self._segment, self._products, self._dtype = segment, products, segment.scales.dtype
        self._dense = [slot for slot in self.slots if slot.first < segment.active]
        self._held = HeldGradients(self._dense, self._dtype, segment.device)
        self._sums = [torch.zeros(segment.active, dtype=self._dtype, device=segment.device) for _ in segment.columns]
        self._ranks: dict[str, torch.Tensor] = {}

    def take(self, slot: Slot, gradient: torch.Tensor) -> None:
        """Add the products of one tensor's gradient, of any dtype, layout and strides."""
        gradient = gradient if gradient.layout == torch.strided else gradient.to_dense()
        if slot.name in self._segment.factors:
            products = factored_products(gradient, list(self._segment.factors[slot.name].values()), self._dtype)
            self._ranks[slot.name] = self._ranks[slot.name] + products if slot.name in self._ranks else products
        if slot.first < self._segment.active:
            self._take_dense(slot, gradient)

    def settle(self) -> None:
        """Take the products of what is held."""
        for block, gradients in self._held.release():
            self._add(block, gradients)

    def add_to(self, total: FloatArray, groups: Groups) -> None:
        """Add ∂L/∂C to `total`, float64, `groups x members`."""
        self.settle()
        if self._dense:
            scales = self._segment.scales.cpu().double().numpy()
            blocks = scales * torch.stack(self._sums, dim=1).cpu().double().numpy()
            rows = [groups.of[slot.name] for slot in self._dense]
            tensors = np.add.reduceat(blocks, [slot.first for slot in self._dense])
            np.add.at(total, np.ix_(rows, self._segment.columns), tensors)
        for name, products in self._ranks.items():
            ranks = iter(products.cpu().double().numpy())
            for member, factors in self._segment.factors[name].items():
                total[groups.of[name], member] += factors.scale * sum(next(ranks) for _ in range(len(factors.down)))

    def _take_dense(self, slot: Slot, gradient: torch.Tensor) -> None:
        held_from = self._held.starts[slot.name]
        if not held_from:
            self._held.add(slot, gradient)
            return
        whole = held_from // BLOCK
        # What lies in other strides is brought in line bit by bit.
        for start, stop in [(0, whole)] if gradient.is_contiguous() else chunks(whole, gradient.device):
            self._add(slot.first + start, _elements(gradient, start * BLOCK, stop * BLOCK).view(-1, BLOCK))
        if held_from < slot.size:
            self._held.add(slot, _elements(gradient, held_from, slot.size))

    def _add(self, block: int, gradient: torch.Tensor) -> None:
        """Add the products of some blocks, `blocks x BLOCK`, the first of which is number `block` of the segment."""
        segment = self._segment
        products = self._products if gradient.dtype == segment.base.dtype else add_products
        stop = block + len(gradient)
        base, deltas = segment.base[block:stop], [cut(delta, block, stop) for delta in segment.deltas]
        for part in segment.tier.stream(base, deltas, segment.device, len(gradient)):
            sums = [total[block + part.start : block + part.stop] for total in self._sums]
            products(sums, gradient[part.start : part.stop], part.base, part.deltas)


def _elements(gradient: torch.Tensor, start: int, stop: int) -> torch.Tensor:
    """Elements `start` to `stop` in a row: a view where they lie so, otherwise a copy of no more than their rows."""
    if gradient.is_contiguous():
        return gradient.view(-1)[start:stop]
    row = gradient[0].numel()
    first, last = start // row, -(-stop // row)
    return gradient[first:last].reshape(-1)[start - first * row : stop - first * row]
