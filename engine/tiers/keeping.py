"""A bank in the tier that has room for it: built there, or opened from the file that an earlier run kept."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ...errors import InputError
from ..bank.member import BankOptions, Member
from ..checkpoints.checkpoint import Checkpoint
from .bank_file import drafting, open_bank
from .choose import choose
from .device import DeviceTier
from .file import FileTier
from .host import HostTier
from .mapping import full_disk_explained
from .origin import origin_of
from .size import Live, predicted_bytes
from .tier import Tier

B = TypeVar("B")


@dataclass(frozen=True)
class Keeping:
    """Where a bank is to be kept.

    Attributes:
        tier: one of `choose.TIERS`.
        file: a file that keeps it for later runs, which open it instead of building it again; None for no such file.
    """

    tier: str = "auto"
    file: str | None = None


@dataclass(frozen=True)
class Content:
    """What a bank will be made of.

    Attributes:
        base: the base's checkpoint.
        live: the live model's tensors to merge.
        members: what is merged.
        options: how deltas are stored.
    """

    base: Checkpoint
    live: Live
    members: Sequence[Member]
    options: BankOptions


@dataclass(frozen=True)
class Kept(Generic[B]):
    """A bank, and one line for people that tells where it lies."""

    bank: B
    place: str


def keep(content: Content, keeping: Keeping, build: Callable[[Tier], B], kinds: Mapping[str, type]) -> Kept[B]:
    """Build a bank where it has room, or open the one that an earlier run kept.

    Args:
        content: what the bank is made of.
        keeping: where it is to be kept.
        build: builds it in a tier.
        kinds: the dataclasses that it consists of, by name.

    Raises:
        InputError: no room (said before any member is read, as far as it is known by then); a file that is no bank, is
            not complete, or is the bank of other models; a tier that no file goes with.
    """
    path = Path(keeping.file).expanduser() if keeping.file else None
    if path and keeping.tier not in ("auto", "file"):
        raise InputError(
            f"models.bank keeps the bank in a file, and models.tier is '{keeping.tier}'; leave one of them out"
        )
    origin = origin_of(content.base, content.live, content.members, content.options)
    if path and path.exists():
        return Kept(open_bank(path, origin, kinds), f"deltas: with the base in '{path}', which an earlier run built")
    needs = predicted_bytes(content.live, content.members, content.options)
    folder = _existing(path.parent) if path else Path(tempfile.gettempdir())
    choice = choose("file" if path else keeping.tier, needs, folder)
    if path is None:
        tiers: dict[str, Callable[[], Tier]] = {"device": DeviceTier, "host": HostTier, "file": FileTier.temporary}
        with full_disk_explained(folder):
            return Kept(build(tiers[choice.tier]()), str(choice))
    with full_disk_explained(folder), drafting(path) as draft:
        bank = build(draft.tier)
        draft.complete(bank, origin)
    return Kept(bank, str(choice))


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    return next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
