"""Tensors that may be larger than memory: in a temporary file that is gone with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from math import prod
from typing import Any

from ..errors import InputError


def scratch_tensor(what: str, shape: Sequence[int], dtype: Any) -> Any:
    """A tensor on the CPU, mapped into memory from a file that no one sees; its room is reserved.

    Args:
        what: what it holds, for errors.
        shape: its shape.
        dtype: its torch.dtype.

    Raises:
        InputError: there is no room.
    """
    import torch

    size = prod(shape) * dtype.itemsize
    with tempfile.NamedTemporaryFile(prefix="mergesearch-") as file:
        try:
            _reserve(file.fileno(), size)
        except OSError as error:
            raise InputError(
                f"{what} take {size / 1e9:.1f} GB, for which there is no room in '{tempfile.gettempdir()}' "
                f"({error.strerror}); take fewer of them, or set TMPDIR to a folder that has room"
            ) from error
        return torch.from_file(file.name, shared=True, size=prod(shape), dtype=dtype).view(*shape)


def _reserve(descriptor: int, size: int) -> None:
    """Make a file so large, with room on the disk where the system can promise it."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.ftruncate(descriptor, size)
