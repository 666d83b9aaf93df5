"""Identity of all that a bank was built from: one digest for the base, and one for each member."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence

import torch

BASE = -1  # the base's number among the owners of tensors


class Digests:
    """Hashes of the tensors that were read, by whose they are; in which order they were read does not matter.

    Args:
        members: their names, in the order of their numbers.
    """

    def __init__(self, members: Sequence[str]) -> None:
        self._members = members
        self._noted: dict[int, dict[str, str]] = {owner: {} for owner in (BASE, *range(len(members)))}

    def note(self, owner: int, name: str, *tensors: torch.Tensor) -> None:
        """Add tensors of `owner` (a member's number, or `BASE`), which follow from what is called `name`."""
        if not tensors:
            return
        noted = hashlib.sha256()
        for tensor in tensors:
            noted.update(f"{tensor.dtype}\0{tuple(tensor.shape)}".encode())
            noted.update(bytes_of(tensor))
        self._noted[owner][name] = noted.hexdigest()

    def content(self, *further: object) -> str:
        """Digest of everything noted so far, and of what else the deltas hang on (hexadecimal)."""
        members = [(name, self._of(number)) for number, name in enumerate(self._members)]
        return hashlib.sha256(repr((*further, self._of(BASE), members)).encode()).hexdigest()

    def twins(self, numbers: Collection[int]) -> tuple[tuple[str, str], ...]:
        """Pairs of members' names, first and later, whose tensors are the same, among those with these numbers."""
        firsts: dict[str, str] = {}
        pairs = [(firsts.setdefault(self._of(n), self._members[n]), self._members[n]) for n in sorted(numbers)]
        return tuple((first, later) for first, later in pairs if first != later)

    def _of(self, owner: int) -> str:
        return hashlib.sha256(repr(sorted(self._noted[owner].items())).encode()).hexdigest()


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The tensor's elements as bytes, copied only where they are not contiguous on the CPU."""
    data: memoryview = tensor.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data
    return data
