"""Tensors piece by piece: what is computed of a piece stays in the cache, and no tensor is ever copied whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch.nn.functional import pad

from .layout import BLOCK, Slot

_BLOCKS = 64  # of a piece; 256 K elements


class Piece(NamedTuple):
    """Some blocks of a tensor: number of the first block in the buffer, and their elements in the flat tensor."""

    first: int
    elements: slice


def pieces(slot: Slot) -> Iterator[Piece]:
    """The pieces of a slot, in order; none of an empty tensor."""
    for block in range(0, slot.blocks, _BLOCKS):
        start = block * BLOCK
        yield Piece(slot.first + block, slice(start, min(start + _BLOCKS * BLOCK, slot.size)))


def in_blocks(flat: torch.Tensor) -> torch.Tensor:
    """Elements of a piece as blocks, `n x BLOCK`; the last one is filled up with zeros."""
    missing = -len(flat) % BLOCK
    return (pad(flat, (0, missing)) if missing else flat).view(-1, BLOCK)
