"""Arrays that take long to compute and depend on nothing but their key, kept on disk between runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def default_folder() -> Path:
    """`mergesearch` in the user's cache folder: `$XDG_CACHE_HOME`, or `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mergesearch"


def cached_arrays(path: Path, compute: Callable[[], Mapping[str, NDArray[Any]]]) -> Arrays:
    """The arrays in the file at `path` (.npz), which is written first where it is not there or cannot be read.

    Several processes may ask at once: each writes a whole file of its own, and one of them stays.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return dict(file)
    except (OSError, ValueError, BadZipFile):
        arrays = dict(compute())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, unfinished = tempfile.mkstemp(suffix=".npz", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        Path(unfinished).replace(path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
    return arrays
