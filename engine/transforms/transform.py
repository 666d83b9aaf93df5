"""The contract of a transform: the deltas of one tensor in, transformed deltas out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch


class Transform(ABC):
    """A one-off function of the deltas, applied tensor by tensor while the bank is built.

    Options are the keyword arguments of `__init__`, and the keys of the configuration; `__repr__` must show them
    all, for it is part of the weights' identity. The canonical point of a transform is the row of coefficients that
    reproduces the published method.
    """

    @abstractmethod
    def apply(self, name: str, deltas: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return one transformed delta per member.

        Args:
            name: the tensor's name, so that random masks can be keyed by it.
            deltas: one per member, all of the tensor's shape, fp32 (fp64 for fp64 weights); must not be changed.
        """

    @abstractmethod
    def canonical_row(self, members: int) -> list[float]:
        """Coefficients, `members`, at which the merge is the published method."""

    @abstractmethod
    def __repr__(self) -> str:
        """The transform's name and all its options."""
