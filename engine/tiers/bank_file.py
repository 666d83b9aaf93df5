"""A bank's file that later runs open instead of building it again.

The first page says which format it is, how long the file is, and where its index stands; then come the buffers, and
then the index. It is written under a draft's name, and gets its own when all of it is on the disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ...errors import InputError
from .encoding import decode, encode
from .file import FileTier
from .mapping import MappedFile
from .origin import Origin, difference

FORMAT = 1
_MAGIC = b"mergesearch bank\n"
_HEAD = 4096  # bytes


class Draft:
    """A bank's file under construction; it takes its name with `complete`."""

    def __init__(self, path: Path, mapped: MappedFile) -> None:
        self.path = path
        self.tier = FileTier(mapped)
        self._head = mapped.extend(_HEAD)

    def complete(self, bank: Any, origin: Origin) -> None:
        """Write the index, wait for the disk, and give the file its name."""
        mapped = self.tier.mapped
        content = {"origin": origin, "bank": encode(bank, self._place)}
        index = json.dumps(content).encode()
        kept = self.tier.keep(_bytes(index))
        finished = int(time.time()) * 10**9  # what only whole seconds are kept of, every file system keeps
        digest = hashlib.sha256(index).hexdigest()
        place = [mapped.offset(kept), len(index), digest]
        head = (
            _MAGIC + json.dumps({"format": FORMAT, "size": mapped.size, "finished": finished, "index": place}).encode()
        )
        mapped.flush()
        self._head[: len(head)] = _bytes(head)
        mapped.flush(finished)
        os.replace(_draft_of(self.path), self.path)
        _flush_folder(self.path.parent)

    def _place(self, tensor: torch.Tensor) -> list[Any]:
        """Offset, dtype, shape, and the device of what is no part of the file yet (scales, factors)."""
        offset = self.tier.mapped.offset(tensor) if tensor.numel() else 0
        device = None if offset is not None else str(tensor.device)
        if offset is None:
            offset = self.tier.mapped.offset(self.tier.keep(tensor.contiguous().cpu()))
        return [offset, str(tensor.dtype).removeprefix("torch."), list(tensor.shape), device]


@contextmanager
def drafting(path: Path) -> Iterator[Draft]:
    """A draft of the bank's file `path`; nothing of it is left where it is not completed.

    Raises:
        InputError: the file cannot be made, or another run is building it.
    """
    draft = _draft_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = draft.open("a+b")
    except OSError as error:
        raise InputError(f"models.bank '{path}' cannot be written ({error.strerror}); give another file") from error
    with file:
        if not _own(draft, file.fileno()):
            raise InputError(f"'{path}' is being built by another run; wait for it, or give another models.bank")
        try:
            os.truncate(file.fileno(), 0)  # what a run left that was killed
            yield Draft(path, MappedFile(file, path))
        finally:
            if _is(draft, file.fileno()):
                draft.unlink()


def open_bank(path: Path, origin: Origin, kinds: Mapping[str, type]) -> Any:
    """Map a complete bank file of the models that `origin` tells of.

    Args:
        path: the file.
        origin: what the bank must have been made of.
        kinds: the dataclasses that a bank consists of, by name.

    Raises:
        InputError: it is no bank, of another format, truncated, changed, or made of something else.
    """
    with path.open("rb") as file:
        head = _checked_head(path, file.read(_HEAD))
        mapped = MappedFile(file, path)
        whole = mapped.map_all()
    start, length, digest = head["index"]
    index = bytes(whole[start : start + length].numpy())
    if hashlib.sha256(index).hexdigest() != digest:
        raise _refused(path, "its index is damaged")
    content = json.loads(index)
    differing = difference(content["origin"], origin)
    if differing:
        raise _refused(path, f"it is the bank of other models: {differing}")

    def find(place: list[Any]) -> torch.Tensor:
        offset, kind, shape, device = place
        dtype: torch.dtype = getattr(torch, kind)
        size = torch.Size(shape).numel() * dtype.itemsize
        tensor = whole[offset : offset + size].view(dtype).view(shape)
        return tensor if device is None else tensor.to(device, copy=True)

    return decode(content["bank"], find, FileTier(mapped), kinds)


def _checked_head(path: Path, head: bytes) -> dict[str, Any]:
    if not head.startswith(_MAGIC):
        raise InputError(f"'{path}' is no bank of mergesearch; give another models.bank")
    content: dict[str, Any] = json.loads(head[len(_MAGIC) :].rstrip(b"\0"))
    state = path.stat()
    if content["format"] != FORMAT:
        raise _refused(path, f"it is of format {content['format']}, and this mergesearch reads format {FORMAT}")
    if state.st_size != content["size"]:
        raise _refused(path, f"it has {state.st_size} bytes of {content['size']}")
    if state.st_mtime_ns != content["finished"]:
        raise _refused(path, "it was changed after it had been finished")
    return content


def _refused(path: Path, reason: str) -> InputError:
    return InputError(
        f"the bank '{path}' cannot be used: {reason}; delete it, so that it is built anew, or give another models.bank"
    )


def _draft_of(path: Path) -> Path:
    return path.with_name(path.name + ".draft")


def _own(draft: Path, file: int) -> bool:
    """Take the draft for this process alone; false where another has it, or has just completed it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return _is(draft, file)


def _is(path: Path, file: int) -> bool:
    """Whether the path still names the opened file."""
    try:
        return path.stat().st_ino == os.fstat(file).st_ino
    except FileNotFoundError:
        return False


def _bytes(content: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
