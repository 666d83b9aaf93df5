"""The second tier: pinned host memory, from which an accelerator copies chunk by chunk while its kernel works."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ..bank.layout import BLOCK
from ..devices.devices import HOST
from .device import DeviceTier
from .staging import copied
from .tier import Deltas, Part, Tier


class HostTier(Tier):
    """Pinned memory where the live weights are on an accelerator; where they are on the host, their own memory."""

    name = "host"

    def allocate(self, blocks: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Zeros on the host."""
        return torch.zeros(blocks, BLOCK, dtype=dtype, pin_memory=device.type != HOST.type)

    def keep(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        """The tensor in host memory."""
        return tensor.to(HOST)

    def stream(self, base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
        """Chunks copied to the accelerator; on the host itself everything at once."""
        return (DeviceTier().stream if device == HOST else copied)(base, deltas, device, blocks)
