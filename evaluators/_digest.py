"""Hashes of options and data that come out the same in every process."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError


def digest(*parts: Any) -> str:
    """SHA-256 (hexadecimal) of nested plain values, arrays, tensors, paths (their text) and functions (their source).

    Raises:
        InputError: a part is of a type whose content cannot be told.
    """
    state = hashlib.sha256()
    for piece in _pieces(parts):
        state.update(len(piece).to_bytes(8, "little"))  # so that ("ab", "c") and ("a", "bc") differ
        state.update(piece)
    return state.hexdigest()


def source_of(function: Callable[..., Any]) -> bytes:
    """The function's name and the whole file that defines it, since its helpers matter too; the name if built in."""
    name = getattr(function, "__qualname__", type(function).__qualname__).encode() + b":"
    try:
        path = inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:
        path = None
    return name + Path(path).read_bytes() if path is not None and Path(path).is_file() else name


def _pieces(value: Any) -> Iterable[bytes]:
    kind = type(value).__name__.encode()
    if value is None or isinstance(value, bool | int | float | complex | str | Path):
        yield kind + b":" + str(value).encode()
    elif isinstance(value, bytes):
        yield kind + b":" + value
    elif isinstance(value, Mapping):
        yield b"mapping:%d" % len(value)
        for key in sorted(value, key=str):
            yield from _pieces(key)
            yield from _pieces(value[key])
    elif isinstance(value, list | tuple):
        yield b"sequence:%d" % len(value)
        for item in value:
            yield from _pieces(item)
    else:
        yield from _object_pieces(value)


def _object_pieces(value: Any) -> Iterable[bytes]:
    if hasattr(value, "detach"):  # a torch tensor; bfloat16 has no NumPy type, so its bytes are taken
        import torch

        flat = value.detach().cpu().contiguous().reshape(-1)
        yield f"tensor:{value.dtype}:{tuple(value.shape)}".encode()
        yield flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    elif hasattr(value, "tobytes"):  # NumPy arrays and scalars, PIL images
        yield f"array:{getattr(value, 'dtype', '')}:{getattr(value, 'shape', getattr(value, 'size', ''))}".encode()
        yield value.tobytes()
    elif isinstance(value, functools.partial):
        yield from _pieces((value.func, value.args, value.keywords))
    elif callable(value):
        yield b"function:" + source_of(value)
    elif isinstance(value, set | frozenset):
        yield from _pieces(sorted(digest(item) for item in value))
    elif hasattr(value, "__dict__"):
        yield type(value).__qualname__.encode()
        yield from _pieces(vars(value))
    else:
        raise InputError(f"cannot hash {value!r} of type {type(value).__name__}; use numbers, text, arrays or tensors")
