"""Comparison of tensors bit by bit, in which -0.0 differs from 0.0."""

from __future__ import annotations

import torch

_INTEGERS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}


def bits(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor's elements as integers of their size."""
    return tensor.contiguous().view(_INTEGERS[tensor.element_size()])


def differ(value: torch.Tensor, anchor: torch.Tensor) -> bool:
    """Whether a bit differs between two tensors, in the second one's dtype."""
    return not torch.equal(bits(value.to(anchor.dtype)), bits(anchor))
