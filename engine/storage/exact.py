"""Exact: deltas in the dtype that they are summed in, so that members come back bit for bit."""

from __future__ import annotations

import torch

from ._dense import DenseStorage


class Exact(DenseStorage):
    """d̂ = d, four bytes per weight (eight for fp64 weights); two where a member's own 16-bit weights are kept."""

    lossless = True
    tuned = True

    def stored(self, summed: torch.dtype) -> torch.dtype:
        """The dtype of the deltas."""
        return summed

    def encode(self, deltas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The deltas, in units of one."""
        return deltas, torch.ones_like(deltas[:, 0])
