"""Trim: keep the largest deltas of each tensor (the first step of TIES, Yadav et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...errors import InputError
from .transform import Transform


class Trim(Transform):
    """Keeps the ⌊density·n⌋ entries of largest magnitude per tensor and member, at least one; zeroes the rest."""

    def __init__(self, density: float = 0.2) -> None:
        if not 0 < density <= 1:
            raise InputError(f"density {density} is not in (0, 1]; it is the fraction of deltas that trimming keeps")
        self.density = density

    def apply(self, name: str, deltas: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Trim every member's delta on its own."""
        return [self.trim(delta) for delta in deltas]

    def canonical_row(self, members: int) -> list[float]:
        """Task arithmetic on trimmed deltas, each at full strength."""
        return [1.0] * members

    def trim(self, delta: torch.Tensor) -> torch.Tensor:
        """Return a trimmed copy of one delta, any shape."""
        kept = min(max(1, int(self.density * delta.numel())), delta.numel())
        index = delta.abs().reshape(-1).topk(kept).indices
        trimmed = torch.zeros_like(delta).reshape(-1)
        trimmed[index] = delta.reshape(-1)[index]
        return trimmed.view_as(delta)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(density={self.density})"
