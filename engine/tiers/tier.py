"""What every tier offers: room for buffers, and their blocks on the device of the live weights, part by part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import IO, ClassVar

import torch

from ..storage.delta import Delta, part

Deltas = Sequence[Delta]
Span = tuple[int, int]


@dataclass(frozen=True)
class Part:
    """Blocks `start` to `stop` of base and deltas, on the device of the live weights."""

    start: int
    stop: int
    base: torch.Tensor
    deltas: tuple[Delta, ...]


def part_of(base: torch.Tensor, deltas: Deltas, span: Span) -> Part:
    """Some blocks as views, on the device that they lie on."""
    return Part(*span, base[slice(*span)], tuple(part(delta, *span) for delta in deltas))


class Tier(ABC):
    """A place for the base and the deltas.

    Attributes:
        name: what the configuration calls it.
    """

    name: ClassVar[str]

    @abstractmethod
    def allocate(self, blocks: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return a buffer of zeros, `blocks x BLOCK`, for live weights on `device`.

        Raises:
            InputError: there is no room for it.
        """

    @abstractmethod
    def keep(self, tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
        """Return the same values, of any shape, where this tier keeps its buffers for live weights on `device`.

        Raises:
            InputError: there is no room for it.
        """

    @abstractmethod
    def stream(self, base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
        """Yield the first `blocks` of base and deltas on `device`, part by part.

        What was yielded is valid until the next is asked for.
        """

    def scratch(self) -> IO[bytes]:
        """An empty file for what grows while a bank is built: in memory, or on the disk that the bank goes to."""
        return BytesIO()

    def release(self, *tensors: torch.Tensor) -> None:  # noqa: B027  (most tiers have nothing to do)
        """Let what was read or written of these leave the resident memory, as far as it stands elsewhere."""
