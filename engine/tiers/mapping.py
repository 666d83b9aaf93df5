"""A file that grows and is mapped as it grows: what is written into its tensors is written to disk."""

from __future__ import annotations

import bisect
import errno
import mmap
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO

import torch

from ...errors import InputError

PAGE = mmap.PAGESIZE
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DROP = getattr(mmap, "MADV_DONTNEED", None)


class MappedFile:
    """Tensors that lie in a file. They stay valid as long as they are referred to, whatever becomes of the file's name.

    Args:
        file: opened for reading and writing, empty or complete.
        path: what to call it in errors.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._starts: tuple[int, ...] = ()  # addresses of the mapped pieces, ascending; replaced, for threads look here
        self._pieces: dict[int, tuple[int, mmap.mmap]] = {}  # address -> offset in the file, mapping
        self._growing = Lock()
        self.size = os.fstat(file.fileno()).st_size

    def extend(self, size: int) -> torch.Tensor:
        """Add at least `size` bytes of zeros to the file; returns the first `size` of them, uint8.

        Raises:
            InputError: the disk is full, or the file may not grow so large.
        """
        if not size:
            return torch.empty(0, dtype=torch.uint8)
        with self._growing:
            start, length = self.size, -(-size // PAGE) * PAGE
            self._reserve(start, length)
            self.size += length
            return self._map(start, length, mmap.ACCESS_WRITE)[:size]

    def map_all(self) -> torch.Tensor:
        """Map a complete file, to be read only: all its bytes, uint8."""
        return self._map(0, self.size, mmap.ACCESS_READ)

    @property
    def folder(self) -> Path:
        """The folder that the file lies in."""
        return self._path if self._path.is_dir() else self._path.parent

    def offset(self, tensor: torch.Tensor) -> int | None:
        """Where in the file a contiguous tensor begins, in bytes; None where it lies elsewhere."""
        found = self._find(tensor)
        return None if found is None else found[0] + found[1]

    def release(self, tensor: torch.Tensor) -> None:
        """Let the pages of a contiguous tensor leave the resident memory; their content stays in the file."""
        found = self._find(tensor)
        if found is None or _DROP is None or not tensor.numel():
            return
        _, begin, mapping = found
        first = begin // PAGE * PAGE
        mapping.madvise(_DROP, first, min(begin + tensor.nbytes, len(mapping)) - first)

    def flush(self, modified: int | None = None) -> None:
        """Wait until all that was written is on the disk; `modified` is the file's time from now on (nanoseconds)."""
        for _, mapping in self._pieces.values():
            mapping.flush()
        if modified is not None:
            os.utime(self._file.fileno(), ns=(modified, modified))
        os.fsync(self._file.fileno())

    def _find(self, tensor: torch.Tensor) -> tuple[int, int, mmap.mmap] | None:
        """The piece's offset in the file, the tensor's within the piece, and the mapping."""
        address = tensor.data_ptr()
        starts = self._starts
        place = bisect.bisect_right(starts, address) - 1
        if place < 0:
            return None
        start = starts[place]
        offset, mapping = self._pieces[start]
        return (offset, address - start, mapping) if address < start + len(mapping) else None

    def _map(self, start: int, length: int, access: int) -> torch.Tensor:
        mapping = mmap.mmap(self._file.fileno(), length, access=access, offset=start)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The given buffer is not writable", category=UserWarning)
            tensor = torch.frombuffer(mapping, dtype=torch.uint8)
        self._pieces[tensor.data_ptr()] = (start, mapping)
        self._starts = tuple(sorted(self._pieces))
        return tensor

    def _reserve(self, start: int, length: int) -> None:
        """Take the room on disk now: a write into a mapped hole of a full disk would end the process."""
        with full_disk_explained(self.folder):
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), start, length)
            else:
                os.truncate(self._file.fileno(), start + length)


@contextmanager
def full_disk_explained(folder: Path) -> Iterator[None]:
    """Say what to do where a file in `folder` cannot grow.

    Raises:
        InputError: the disk is full, or the file may not grow so large.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise InputError(
            f"the bank's file in '{folder}' cannot grow ({os.strerror(error.errno)}; "
            f"{shutil.disk_usage(folder).free / 1e9:.3f} GB are free there); "
            "free some space, or set models.bank to a file on a larger disk"
        ) from error
