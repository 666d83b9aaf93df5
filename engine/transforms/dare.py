"""DARE: drop deltas at random and rescale the rest (Yu et al. 2024)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch

from ...errors import InputError
from .transform import Transform


class Dare(Transform):
    """tᵢ = dᵢ ⊙ mᵢ / density, mᵢ ~ Bernoulli(density); E t = d.

    One uniform number per member and element decides, drawn from (seed, member, tensor): masks are nested in the
    density and do not depend on the order of tensors.
    """

    def __init__(self, density: float = 0.5, seed: int = 0) -> None:
        if not 0 < density <= 1:
            raise InputError(f"density {density} is not in (0, 1]; it is the fraction of deltas that DARE keeps")
        self.density = density
        self.seed = seed

    def apply(self, name: str, deltas: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Mask and rescale every member's delta."""
        return [delta * self._kept(name, number, delta) / self.density for number, delta in enumerate(deltas)]

    def canonical_row(self, members: int) -> list[float]:
        """Uniform soup of the sparsified deltas."""
        return [1.0 / members] * members

    def _kept(self, name: str, member: int, delta: torch.Tensor) -> torch.Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed}/{member}/{name}".encode()))
        # Drawn on the CPU, so that every device has the same mask.
        return (torch.rand(delta.shape, generator=generator) < self.density).to(delta.device)

    def __repr__(self) -> str:
        return f"Dare(density={self.density}, seed={self.seed})"
