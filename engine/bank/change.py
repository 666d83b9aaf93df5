"""What one member made of one tensor of the base, piece by piece."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch

from ...errors import CheckpointError
from ..checkpoints.finite import all_finite
from ..storage.storage import sum_dtype
from .bits import bits, differ
from .member import Member

_ALL = slice(None)


@dataclass(frozen=True)
class Change:
    """One member's tensor beside the base's.

    Attributes:
        member: whose.
        name: the tensor's name.
        base: the base's, flat, in the live dtype and on the live device.
    """

    member: Member
    name: str
    base: torch.Tensor

    @property
    def held(self) -> bool:
        """Whether the member holds the whole tensor; where not, it shares the base's."""
        return self.member.source.holds(self.name)

    @cached_property
    def value(self) -> torch.Tensor:
        """The member's tensor, flat, as it is stored; read when it is asked for.

        Raises:
            CheckpointError: it is not finite.
        """
        return self.member.source.read(self.name).reshape(-1) if self.held else self.base

    @cached_property
    def anchor(self) -> torch.Tensor:
        """What the member's tensor was trained from, flat; the base's unless the member has an anchor of its own."""
        given = self.member.anchor if self.held else None
        return given.read(self.name).reshape(-1) if given else self.base

    @property
    def read(self) -> list[torch.Tensor]:
        """The tensors that the deltas follow from, but for the base's."""
        return [self.value, *([self.anchor] if self.member.anchor else [])] if self.held else []

    def differs(self, elements: slice) -> bool:
        """Whether a bit of these elements differs from the anchor's, in the anchor's dtype."""
        value, anchor = (tensor[elements].to(self.base.device) for tensor in (self.value, self.anchor))
        return self.held and differ(value, anchor)

    def weights(self, elements: slice = _ALL) -> torch.Tensor:
        """The member's weights in the live dtype.

        Raises:
            CheckpointError: they exceed its range.
        """
        value = self.value[elements]
        weights = value.to(self.base.device, self.base.dtype)
        if value.dtype != weights.dtype and not all_finite(weights):
            raise CheckpointError(
                f"member '{self.member.name}': tensor '{self.name}' exceeds the range of {weights.dtype}; "
                "set a wider models.dtype"
            )
        return weights

    def delta(self, elements: slice = _ALL) -> torch.Tensor:
        """Their delta, in the dtype to sum in; it may exceed its range."""
        dtype, device = sum_dtype(self.base.dtype), self.base.device
        return self.value[elements].to(device, dtype) - self.anchor[elements].to(device, dtype)

    def surely_fits(self, elements: slice) -> bool:
        """Whether no delta of these elements can exceed the range to sum in; false where only the deltas can tell."""
        extremes = [float(one) for tensor in (self.value, self.anchor) for one in torch.aminmax(tensor[elements])]
        return max(extremes) - min(extremes) <= torch.finfo(sum_dtype(self.base.dtype)).max

    def missed(self, elements: slice, delta: torch.Tensor) -> torch.Tensor:
        """Where base + delta, as the kernel computes it, is not the member's weight bit for bit: positions, int64."""
        base, weights = self.base[elements], self.weights(elements)
        written = (base.to(delta.dtype) + delta).to(base.dtype)
        return (bits(written) ^ bits(weights)).nonzero().view(-1)
