"""What a bank was made of, as far as it can be told without reading weights: guards a bank's file against reuse."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..bank.layout import BLOCK
from ..bank.member import BankOptions, Member
from ..checkpoints.checkpoint import Checkpoint
from .size import Live

Origin = dict[str, dict[str, str]]

_WEIGHTS = {".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".json"}


def origin_of(base: Checkpoint, live: Live, members: Sequence[Member], options: BankOptions) -> Origin:
    """Members, options, tensors and files of a bank.

    A file counts as the same while path, size and times of modification and of change are the same: no program can
    set the last one back, so that a file of other content is never taken for the one that was read.
    """
    checkpoints = [base, *(one.checkpoint for m in members for one in (m.source, m.anchor) if one is not None)]
    files = sorted({file for checkpoint in checkpoints for file in _files(checkpoint.folder or checkpoint.path)})
    return {
        "members": {str(number): member.name for number, member in enumerate(members)},
        "option": {"storage": options.storage, "transform": repr(options.transform), "block": str(BLOCK)},
        "tensor": {name: f"{_shape(one)} {one.dtype} on {one.device}" for name, one in live.items()},
        "file": {str(file): _stamp(file) for file in files},
    }


def difference(theirs: Origin, ours: Origin) -> str | None:
    """The first thing in which a bank's file (`theirs`) differs from what is wanted; None where they agree."""
    for subject in ours:
        stored = theirs.get(subject, {})
        for name in [*stored, *ours[subject]]:
            before, now = stored.get(name), ours[subject].get(name)
            if before != now:
                return _sentence(subject, name, before, now, (stored, ours[subject]))
    return None


def _sentence(subject: str, name: str, before: str | None, now: str | None, both: Sequence[Any]) -> str:
    if subject == "members":
        stored, wanted = (", ".join(names.values()) for names in both)
        return f"it holds the members {stored}, and this run has {wanted}"
    if subject == "file":
        kinds = {(True, False): "was not read for it", (False, True): "was read for it, and now is not"}
        return f"'{name}' {kinds.get((before is None, now is None), 'has changed since')}"
    return f"its {subject} '{name}' is {before or 'missing'}, and here it is {now or 'missing'}"


def _shape(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "scalar"


def _files(path: Path) -> list[Path]:
    found = path.rglob("*") if path.is_dir() else [path]
    return [file.resolve() for file in found if file.suffix in _WEIGHTS and file.is_file()]


def _stamp(file: Path) -> str:
    state = file.stat()
    return f"{state.st_size} bytes, modified {state.st_mtime_ns}, changed {state.st_ctime_ns}"
