"""Names for members: from a mapping, from paths and globs, or from a trajectory's steps."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import CheckpointError, InputError
from .checkpoint import Checkpoint
from .opening import open_checkpoint, open_trajectory

Named = dict[str, Checkpoint]

_STEP = "step "


def open_members(members: Mapping[str, str] | Sequence[str]) -> Named:
    """Open members by name, or by paths and globs, which are named after their files or folders.

    Raises:
        CheckpointError: a path or glob matches nothing, or cannot be opened.
        InputError: two members would have the same name.
    """
    if isinstance(members, Mapping):
        return {name: open_checkpoint(path) for name, path in members.items()}
    opened: Named = {}
    for pattern in members:
        for path in _expand(pattern):
            name = Path(path).stem if Path(path).is_file() else Path(path).name
            if name in opened:
                raise InputError(
                    f"'{opened[name].path}' and '{path}' would both be member '{name}'; "
                    "give members as a mapping of names to paths"
                )
            opened[name] = open_checkpoint(path)
    return opened


def open_snapshots(pattern: str) -> Named:
    """Open the snapshots of one run as members named by their step, oldest first; see `open_trajectory`."""
    return {f"{_STEP}{step}": checkpoint for step, checkpoint in open_trajectory(pattern).items()}


def step_of(name: str) -> int:
    """The training step of a snapshot that `open_snapshots` named."""
    return int(name.removeprefix(_STEP))


def _expand(pattern: str) -> list[str]:
    if not glob.has_magic(pattern):
        return [pattern]
    paths = sorted(glob.glob(pattern, recursive=True))
    if not paths:
        raise CheckpointError(f"no file or folder matches '{pattern}'; check the pattern, or the current folder")
    return paths
