"""What every checkpoint offers: headers at once, tensors when asked for."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from ...errors import CheckpointError


@dataclass(frozen=True)
class TensorHeader:
    """Shape and dtype of a stored tensor, known without reading it."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    def __str__(self) -> str:
        return " x ".join(map(str, self.shape)) or "scalar"


class Checkpoint(ABC):
    """Named tensors on disk. Only headers are read until `read` asks for a tensor.

    Attributes:
        path: the file or folder.
        folder: the folder with configuration and tokenizer; None for a lone file, whose neighbours may belong to
            another model.
        stem: what the names of weight files in such a folder start with.
        pipeline: the folder of the diffusion pipeline that it is the denoiser of, if one was given.
    """

    def __init__(self, path: Path, stem: str = "model") -> None:
        self.path = path
        self.folder: Path | None = path if path.is_dir() else None
        self.stem = stem
        self.pipeline: Path | None = None

    @property
    def single(self) -> str:
        """Name of the safetensors file of a folder that has one."""
        return f"{self.stem}.safetensors"

    @property
    def index(self) -> str:
        """Name of the file that lists the shards of a folder that has several."""
        return f"{self.single}.index.json"

    @property
    @abstractmethod
    def headers(self) -> Mapping[str, TensorHeader]:
        """Header of every stored tensor, by name."""

    @abstractmethod
    def read(self, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored shape and dtype."""

    @cached_property
    def config(self) -> dict[str, Any]:
        """The folder's `config.json`; empty where there is none.

        Raises:
            CheckpointError: the file is no JSON.
        """
        path = self.folder / "config.json" if self.folder else None
        return read_json(path) if path and path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: the file is not JSON, or no object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"'{path}' is no valid JSON ({error}); copy or download it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"'{path}' holds a {type(content).__name__}, not an object; copy or download it again")
    return content
