"""Which tier a bank goes to: the fastest that has room for it, or the one asked for."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ..devices.devices import HOST
from ..devices.memory import memory_of
from .size import Sizes

TIERS = ("auto", "device", "host", "file")
_SHARE = 0.9  # of what is free, that `auto` gives to base and deltas: evaluating needs some, too


@dataclass(frozen=True)
class Choice:
    """A tier, and why it was taken.

    Attributes:
        tier: one of `TIERS`, but for `auto`.
        bytes: of base and deltas, as predicted.
        place: where that is, and what is free there or in the faster tiers, for people.
    """

    tier: str
    bytes: int
    place: str

    def __str__(self) -> str:
        return f"deltas: {gigabytes(self.bytes)} with the base, in {self.place}"


def choose(wanted: str, needs: Sizes, folder: Path) -> Choice:
    """Choose a tier for a bank; nothing has been read yet.

    Args:
        wanted: one of `TIERS`.
        needs: bytes of the buffers of base and deltas, by device of the live weights.
        folder: where the file tier would keep its file.

    Raises:
        InputError: an unknown tier; the one asked for has too little room, or none has enough.
    """
    if wanted not in TIERS:
        raise InputError(f"models.tier '{wanted}' is unknown; give one of {', '.join(TIERS)}")
    rooms, total = _rooms(needs, folder), sum(map(sum, needs.values()))
    asked = rooms if wanted == "auto" else [room for room in rooms if wanted in room.tiers]
    room = next((room for room in asked if room.fits(_SHARE if wanted == "auto" else 1.0)), None)
    if room is None:
        full = " and ".join(room.state for room in asked)
        others = [room.tiers[0] for room in rooms if room not in asked and room.fits(1.0)]
        raise InputError(f"base and deltas need {gigabytes(total)}, and {full}; {_remedy(wanted, others)}")
    faster = asked[: asked.index(room)] or [room]
    tier = room.tiers[0] if wanted == "auto" else wanted
    return Choice(tier, total, f"{room.place} ({'; '.join(one.state for one in faster)})")


def gigabytes(size: float) -> str:
    """A size for people."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"


@dataclass(frozen=True)
class _Room:
    """A place for a bank.

    Attributes:
        tiers: those that keep it there.
        place: what it is called.
        pairs: bytes needed and free, for each memory that it is made of.
        state: what is free there, for people.
    """

    tiers: tuple[str, ...]
    place: str
    pairs: Sequence[tuple[int, int]]
    state: str

    def fits(self, share: float) -> bool:
        return all(needed <= share * free for needed, free in self.pairs)


def _rooms(needs: Sizes, folder: Path) -> list[_Room]:
    """All places, the fastest first."""
    total, disk = sum(map(sum, needs.values())), shutil.disk_usage(folder).free
    file = _Room(("file",), f"a file in '{folder}'", [(total, disk)], f"'{folder}' has {gigabytes(disk)} free")
    free = memory_of(HOST).free
    if set(needs) <= {HOST}:
        memory = _Room(("device", "host"), "memory", [(total, free)], f"memory has {gigabytes(free)} free")
        return [memory, file]
    pinned = sum(_pinned(size) for sizes in needs.values() for size in sizes)
    has = f"the host has {gigabytes(free)} free for {gigabytes(pinned)} of pinned buffers"
    host = _Room(("host",), "host memory", [(pinned, free)], has)
    each = {device: memory_of(device).free for device in needs}
    state = ", ".join(f"device '{device}' has {gigabytes(size)} free" for device, size in each.items())
    device = _Room(("device",), "device memory", [(sum(sizes), each[device]) for device, sizes in needs.items()], state)
    return [device, host, file]


def _pinned(size: int) -> int:
    """Bytes that torch pins for a buffer: the next power of two."""
    return 1 << (size - 1).bit_length() if size else 0


def _remedy(wanted: str, others: Sequence[str]) -> str:
    smaller = "keep them smaller (models.storage: fp16 or int8), or merge fewer members"
    tiers = " or ".join(f"'{tier}'" for tier in others)
    if wanted == "file":
        return f"free some room, set models.bank to a file on a larger disk, {smaller}"
    return f"set models.tier to auto or {tiers}, {smaller}" if others else f"free some room, {smaller}"
