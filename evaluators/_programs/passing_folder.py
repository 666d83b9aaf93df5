"""Folders that go when the process that made them goes, however it ends."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .last_wish import last_wish

_PREFIX, _LOCK = "mergesearch-", ".lock"


@contextmanager
def passing_folder(place: Path) -> Iterator[Path]:
    """A folder of one's own below `place`, empty; it is gone at the end of the `with`.

    If this process is killed meanwhile, a shell that waits for that removes the folder. Where the shell was killed as
    well, the next folder that is made in the same place sweeps it away.
    """
    _sweep(place)
    with (
        tempfile.TemporaryDirectory(prefix=_PREFIX, dir=place) as name,
        last_wish('rm -rf -- "$1"', name),
        Path(name, _LOCK).open("w") as lock,
    ):
        # Held by the process, and by no number that another could have: containers share folders, but no process ids.
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("held by the process that uses this folder")
        lock.flush()
        own = Path(name, "own")
        own.mkdir()
        yield own


def _sweep(place: Path) -> None:
    """Remove such folders of this user whose process is gone."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another process sweeps it, or it cannot be told
            if folder.stat(follow_symlinks=False).st_uid == os.getuid() and _abandoned(folder / _LOCK):
                shutil.rmtree(folder)


def _abandoned(lock: Path) -> bool:
    """Whether it was held, and is no longer."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return bool(file.read())
