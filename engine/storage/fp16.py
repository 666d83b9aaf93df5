"""fp16: two bytes per weight. Deltas are small and centred, so that it keeps more of them than bf16 does."""

from __future__ import annotations

import torch

from ._dense import DenseStorage

_TOP = 2.0**15  # below which the largest number of a block lies: half of what fp16 holds


class Fp16(DenseStorage):
    """d̂ = s·fp16(d/s), s a power of two per block that lifts the largest delta near fp16's upper end."""

    def stored(self, summed: torch.dtype) -> torch.dtype:
        """Half precision."""
        return torch.float16

    def encode(self, deltas: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Round the scaled deltas; scaling itself loses nothing."""
        largest = deltas.abs().amax(dim=1)
        mantissa, _ = torch.frexp(largest)
        scales = largest / (2 * mantissa) * (2 / _TOP)
        # Never below the sum's normal numbers: a scale that vanishes there would make the deltas infinite.
        scales = torch.where(largest > 0, scales.clamp(min=torch.finfo(deltas.dtype).tiny), 1.0)
        return (deltas / scales[:, None]).to(torch.float16), scales
