"""Checkpoints in safetensors files: one file, or the shards of a Hugging Face folder."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ...errors import CheckpointError
from ..devices.devices import HOST
from .checkpoint import Checkpoint, TensorHeader, read_json

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


class SafetensorsCheckpoint(Checkpoint):
    """Tensors of one safetensors file, or of all the shards that a folder's index names.

    Raises:
        CheckpointError: a shard is missing, truncated or no safetensors file, or holds an unknown dtype.
    """

    @cached_property
    def shards(self) -> dict[str, Path]:
        """File that holds each tensor, by the tensor's name, in file order."""
        if self.path.is_dir() and (self.path / self.index).is_file():
            weight_map = read_json(self.path / self.index).get("weight_map")
            if not isinstance(weight_map, dict) or not weight_map:
                raise CheckpointError(f"'{self.path / self.index}' names no shards under 'weight_map'; copy it again")
            files = [self.path / name for name in sorted(set(weight_map.values()))]
        else:
            files = [self.path / self.single if self.path.is_dir() else self.path]
        return {name: file for file in files for name in _names(file)}

    @cached_property
    def headers(self) -> Mapping[str, TensorHeader]:
        """Header of every tensor, by name."""
        return {name: header for file in dict.fromkeys(self.shards.values()) for name, header in _headers(file)}

    def read(self, name: str) -> torch.Tensor:
        """Return one tensor on the CPU, in its stored shape and dtype."""
        with _open(self.shards[name]) as file:
            return file.get_tensor(name)  # type: ignore[no-any-return]


def _names(file: Path) -> list[str]:
    with _open(file) as opened:
        return list(opened.keys())


def _headers(file: Path) -> list[tuple[str, TensorHeader]]:
    with _open(file) as opened:
        return [(name, _header(file, name, opened.get_slice(name))) for name in opened.keys()]  # noqa: SIM118


def _header(file: Path, name: str, stored: Any) -> TensorHeader:
    dtype = stored.get_dtype()
    if dtype not in _DTYPES:
        raise CheckpointError(f"'{file}': tensor '{name}' has dtype {dtype}, which cannot be merged; dequantise it")
    return TensorHeader(tuple(stored.get_shape()), _DTYPES[dtype])


def _open(file: Path) -> safe_open:
    if not file.is_file():
        raise CheckpointError(f"no file '{file}'; check the path, or copy the missing shard")
    try:
        return safe_open(str(file), framework="pt", device=HOST.type)
    except SafetensorError as error:
        raise CheckpointError(f"'{file}' is truncated or no safetensors file ({error}); copy it again") from error
