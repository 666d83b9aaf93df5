"""The flat layout: each tensor starts a block of its own, so that a block belongs to one group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch

BLOCK = 4096  # elements; 0.03 % padding on a 100 M-parameter Llama


@dataclass(frozen=True)
class Slot:
    """Where one tensor stands in its flat buffer.

    Attributes:
        name: the tensor's name in the live model.
        shape: its shape.
        first: number of its first block.
    """

    name: str
    shape: torch.Size
    first: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.shape.numel()

    @property
    def blocks(self) -> int:
        """Number of blocks that it fills; the last one is padded."""
        return -(-self.size // BLOCK)

    def view(self, buffer: torch.Tensor) -> torch.Tensor:
        """The tensor, in its shape, as a view into a buffer, `blocks x BLOCK`."""
        start = self.first * BLOCK
        return buffer.view(-1)[start : start + self.size].view(self.shape)


def lay_out(shapes: Mapping[str, torch.Size], leading: Iterable[str]) -> list[Slot]:
    """Place tensors one after another, those named in `leading` before the rest, each in the given order."""
    first_names = set(leading)
    slots: list[Slot] = []
    block = 0
    for name in sorted(shapes, key=lambda name: name not in first_names):  # a stable sort: order is kept otherwise
        slots.append(Slot(name, shapes[name], block))
        block += slots[-1].blocks
    return slots
