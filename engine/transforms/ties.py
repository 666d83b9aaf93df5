"""TIES: trim, elect a sign, and average those who agree (Yadav et al. 2023), linear in the coefficients.

The coefficients act after the election, as in PEFT's flavour, so that a candidate stays one linear pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .transform import Transform
from .trim import Trim


class Ties(Transform):
    """tᵢ = τᵢ ⊙ [sign τᵢ = γ] / |A|, where τ is the trimmed delta, γ = sign(Σ τ) and A are the agreeing members."""

    def __init__(self, density: float = 0.2) -> None:
        self._trim = Trim(density)

    def apply(self, name: str, deltas: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Trim, elect and share out the mean."""
        trimmed = torch.stack(self._trim.apply(name, deltas))
        # Zero mass elects the positive sign, as PEFT and mergekit do.
        elected = torch.where(trimmed.sum(dim=0) >= 0, 1.0, -1.0).to(trimmed.dtype)
        agreeing = trimmed * elected > 0
        shares = torch.where(agreeing, trimmed, torch.zeros_like(trimmed)) / agreeing.sum(dim=0).clamp(min=1)
        return list(shares)

    def canonical_row(self, members: int) -> list[float]:
        """The disjoint mean at λ = 1."""
        return [1.0] * members

    def __repr__(self) -> str:
        return f"Ties(density={self._trim.density})"
