"""What a bank is built from: the members, and how their deltas are kept."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import InputError
from .source import Source
from .transforms.transform import Transform

STORAGES = ("exact", "fp16")


@dataclass(frozen=True)
class Member:
    """A checkpoint to merge, and the checkpoint that it was trained from, where that is not the base."""

    name: str
    source: Source
    anchor: Source | None = None


@dataclass(frozen=True)
class BankOptions:
    """How deltas are stored and what is done to them first.

    Attributes:
        storage: `exact` or `fp16`.
        transform: T of t = T(d), or None for the deltas themselves.
    """

    storage: str = "exact"
    transform: Transform | None = None

    def __post_init__(self) -> None:
        if self.storage not in STORAGES:
            raise InputError(f"storage '{self.storage}' is unknown; give one of {', '.join(STORAGES)}")
