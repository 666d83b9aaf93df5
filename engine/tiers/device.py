"""The first tier: base and deltas lie beside the live weights, on their device."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..bank.layout import BLOCK
from .tier import Deltas, Part, Tier, part_of

_LAUNCH = (2**31 - 1) // BLOCK  # blocks: accelerators' compiled code counts elements in 32 bits


class DeviceTier(Tier):
    """Buffers on the device of the live weights; nothing is fetched."""

    name = "device"

    def allocate(self, blocks: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Zeros on the device."""
        return torch.zeros(blocks, BLOCK, dtype=dtype, device=device)

    def keep(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The tensor on the device."""
        return tensor.to(device)

    def stream(self, base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
        """Everything, in as few parts as the kernel can take."""
        for start in range(0, blocks, _LAUNCH):
            yield part_of(base, deltas, (start, min(start + _LAUNCH, blocks)))
