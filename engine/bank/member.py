"""What a bank is built from: the members, and how their deltas are kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

import torch

from ...plugins import load_plugin
from ..checkpoints.source import Source
from ..storage.storage import Storage
from ..transforms.transform import Transform


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
        storage: name of a file in `engine/storage`.
        transform: T of t = T(d), or None for the deltas themselves.

    Raises:
        InputError: nothing is called like the storage.
    """

    storage: str = "exact"
    transform: Transform | None = None

    def __post_init__(self) -> None:
        _storage(self.storage)

    @cached_property
    def kept(self) -> Storage:
        """The storage itself."""
        return _storage(self.storage)

    def keeps_weights(self, member: Member, names: Collection[str], dtype: torch.dtype) -> bool:
        """Whether a member's own weights are kept in place of its deltas of the tensors `names`, which are of `dtype`.

        They give the same deltas where these are the difference to the base, and both are in the same 16-bit dtype.
        """
        if not self.kept.tuned or self.transform or member.anchor or dtype.itemsize != 2:
            return False
        headers = member.source.checkpoint.headers
        return all(headers[key].dtype == dtype for key, name in member.source.stored_as().items() if name in names)


def _storage(name: str) -> Storage:
    return load_plugin(name, f"{__name__.rsplit('.', 2)[0]}.storage", Storage)()
