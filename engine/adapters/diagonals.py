"""Candidates of live adapters: a diagonal of coefficients for each weight, and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...spaces.table import CoefficientTable, FloatArray
from .strip import Strip


@dataclass
class Diagonals:
    """One candidate.

    Attributes:
        table: its coefficients.
        rows: c·s of every rank, one tensor per strip.
        parts: each weight's, `ranks`, as views into the rows; those that are all zero are left out.
    """

    table: CoefficientTable
    rows: tuple[torch.Tensor, ...]
    parts: dict[str, torch.Tensor]


class AdapterGradient:
    """∂L/∂C over all backward passes so far, from the diagonals' own gradients."""

    def __init__(self, strips: Sequence[Strip], shown: Diagonals) -> None:
        self._strips = strips
        self._shape = shown.table.members.shape
        leaves = [strip.parts(row.clone()) for strip, row in zip(strips, shown.rows, strict=True)]
        parts = {name: part.detach().requires_grad_(True) for some in leaves for name, part in some.items()}
        self.diagonals = Diagonals(shown.table, shown.rows, parts)

    @property
    def members(self) -> FloatArray:
        """∂L/∂C, float64, `groups x members`."""
        total = np.zeros(self._shape)
        for strip in self._strips:
            leaves = [self.diagonals.parts[name] for name in strip.lengths]
            slopes = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]
            strip.add_gradient(total, torch.cat(slopes))
        return total
