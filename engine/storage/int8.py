"""int8: one byte per weight, a scale per block of 4,096; a block's largest delta sets the error of all of it."""

from __future__ import annotations

import torch

from ._dense import DenseStorage

_LARGEST = 127


class Int8(DenseStorage):
    """d̂ = s·round(d/s), s = max |d| / 127 per block: an error of at most s/2, symmetric around zero."""

    def stored(self, summed: torch.dtype) -> torch.dtype:
        """Bytes with a sign."""
        return torch.int8

    def encode(self, deltas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Round to the nearest multiple of the scale; zeros stay zeros."""
        largest = deltas.abs().amax(dim=1)
        scales = (largest / _LARGEST).clamp(min=torch.finfo(deltas.dtype).tiny)
        scales = torch.where(largest > 0, scales, 1.0)
        return (deltas / scales[:, None]).round().to(torch.int8), scales
