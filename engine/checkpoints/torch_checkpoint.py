"""Checkpoints in torch state dicts (`.pt`, `.pth`, `.bin`, `.ckpt`), opened with `weights_only=True`."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

import torch

from ...errors import CheckpointError
from ..devices.devices import HOST
from .checkpoint import Checkpoint, TensorHeader

SUFFIXES = {".pt", ".pth", ".bin", ".ckpt"}
_WRAPPERS = ("state_dict", "model_state_dict", "model")


class TorchCheckpoint(Checkpoint):
    """Tensors of one torch file; the file is memory-mapped, so a tensor is read when it is used.

    Raises:
        CheckpointError: the file is truncated, holds code instead of plain tensors, or holds no tensors.
    """

    @cached_property
    def _tensors(self) -> dict[str, torch.Tensor]:
        content = _load(self.path)
        for wrapper in _WRAPPERS:
            if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
                content = content[wrapper]
        tensors = content if isinstance(content, Mapping) else {}
        named = {str(name): value for name, value in tensors.items() if isinstance(value, torch.Tensor)}
        if not named:
            raise CheckpointError(f"'{self.path}' holds no named tensors; save the model's state_dict() instead")
        return named

    @cached_property
    def headers(self) -> Mapping[str, TensorHeader]:
        """Header of every tensor, by name."""
        return {name: TensorHeader(tuple(value.shape), value.dtype) for name, value in self._tensors.items()}

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored shape and dtype."""
        return self._tensors[name]


def _load(path: Path) -> object:
    if not path.is_file():
        raise CheckpointError(f"no file '{path}'; check the path, or copy the missing file")
    try:
        # Files from before torch 1.6 are no archives, and cannot be mapped.
        return torch.load(path, map_location=HOST, weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"'{path}' holds more than plain tensors and could run code; save its state_dict() as safetensors"
        ) from error
    except (RuntimeError, EOFError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(f"'{path}' is truncated or no torch file ({first_line}); copy it again") from error
