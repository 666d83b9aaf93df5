"""What a live model offers, whether its candidates are written into the weights or kept as adapters beside them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

import torch
from torch import nn

from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable, FloatArray
from ..checkpoints.source import Source

C = TypeVar("C")


class Bank(Protocol):
    """What base and members were read into."""

    @property
    def members(self) -> tuple[str, ...]:
        """Names, in the order of the coefficient table's columns."""

    @property
    def fingerprint(self) -> str:
        """Identity of the model that any table gives (hexadecimal)."""

    @property
    def bytes(self) -> int:
        """Size of all that it holds."""


class Gradient(Protocol):
    """The sum of ∂L/∂C over all backward passes so far."""

    @property
    def members(self) -> FloatArray:
        """∂L/∂C, float64, `groups x members`."""


class BoundModel(ABC, Generic[C]):
    """A model bound to a bank: any table turns it into a candidate. `C` is what holds one candidate.

    Attributes:
        model: the bound module.
        bank: base and members.
        groups: which group each tensor belongs to.
        weights: what holds the candidate that `write` makes.
    """

    model: nn.Module
    bank: Bank
    groups: Groups
    weights: C

    @abstractmethod
    def write(self, table: CoefficientTable) -> None:
        """Make the live model the candidate of `table`, in place."""

    @abstractmethod
    def copies(self, count: int) -> list[C]:
        """Room for further candidates, which hold the base."""

    @abstractmethod
    def write_batch(self, tables: Sequence[CoefficientTable], copies: Sequence[C]) -> None:
        """Write one table into each copy, each as `write` does, bit for bit."""

    @abstractmethod
    def showing(self, copy: C) -> AbstractContextManager[nn.Module]:
        """Inside of the `with`, the model is the candidate of `copy`; no weight is moved."""

    @abstractmethod
    def write_source(self, source: Source) -> None:
        """Make the live model a member as it stands on disk, whatever transform the bank went through."""

    def prepare_pullback(self) -> None:
        """Compile what coefficient gradients need, so that no trial waits for the compiler."""

    @abstractmethod
    def pullback(self) -> AbstractContextManager[Gradient]:
        """Collect ∂L/∂C at the table written last, from every backward pass inside of the `with`."""

    @abstractmethod
    def tensors(self) -> Mapping[str, torch.Tensor]:
        """Every floating tensor of the model by name, as the candidate has it."""
