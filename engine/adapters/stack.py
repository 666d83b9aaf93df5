"""The factors of several members for one weight, side by side: Σᵢ cᵢ·sᵢ·Bᵢ·Aᵢ = B · diag(c·s) · A."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...spaces.table import FloatArray
from ..checkpoints.adapter import LowRank


@dataclass(frozen=True)
class Stack:
    """All factors of one weight.

    Attributes:
        up: B, `rows x ranks`, the members' one after another.
        down: A, `ranks x columns`.
        owners: number of the member that each rank belongs to, int64, `ranks`.
        scales: s, the adapters' own factors, float64, `ranks`.
    """

    up: torch.Tensor
    down: torch.Tensor
    owners: NDArray[np.int64]
    scales: FloatArray

    @classmethod
    def of(cls, factors: Mapping[int, LowRank], device: torch.device, dtype: torch.dtype) -> Stack:
        """Concatenate the members' factors (by their number) on `device` in `dtype`."""
        up = torch.cat([factor.up.to(device, dtype) for factor in factors.values()], dim=1)
        down = torch.cat([factor.down.to(device, dtype) for factor in factors.values()], dim=0)
        ranks = [factor.up.shape[1] for factor in factors.values()]
        scales = [factor.scale for factor in factors.values()]
        return cls(up, down, np.repeat(list(factors), ranks), np.repeat(scales, ranks))

    def diagonal(self, row: FloatArray) -> FloatArray:
        """c·s for a row of coefficients, `members`: float64, `ranks`."""
        return np.asarray(row[self.owners] * self.scales)

    def delta(self, row: FloatArray) -> torch.Tensor:
        """The dense sum for a row of coefficients, `rows x columns`, in the factors' dtype."""
        diagonal = torch.as_tensor(self.diagonal(row), dtype=self.up.dtype, device=self.up.device)
        return (self.up * diagonal) @ self.down
