"""Publishes the live weights: the base's folder once more, with other numbers in its safetensors files."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from ...errors import InputError
from ..checkpoints.checkpoint import Checkpoint, read_json
from ..checkpoints.converted import ConvertedCheckpoint
from ..checkpoints.diffusion import copy_components, is_diffusers
from ..checkpoints.safetensors_checkpoint import SafetensorsCheckpoint
from ..checkpoints.source import Source
from ..live.bound import BoundModel
from ..network.tensors import floating_tensors, tied_names

_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.pth", "*.ckpt", "*.index.json", "*.gguf", "*.msgpack", "*.h5")


def export_model(live: BoundModel[Any], base: Source, destination: Path, recipe: Mapping[str, Any]) -> list[Path]:
    """Write the live weights under the base's tensor names, with its configuration and tokenizer.

    The folder appears complete or not at all. Tensors are stored bit for bit as they are live; tied tensors are
    stored as often as in the base's files. The recipe goes into the safetensors metadata, as JSON, but for models
    that transformers converts, whose files it writes itself.

    Where the base was given as a diffusion pipeline, the folder is a pipeline, too: its other components are copied.

    Args:
        live: the model as `write` left it.
        base: the base's checkpoint by the live model's names.
        destination: folder to create.
        recipe: what made these weights.

    Returns:
        The weight files.

    Raises:
        InputError: `destination` exists and is not empty.
    """
    if destination.exists() and not destination.is_dir():
        raise InputError(f"'{destination}' is a file; give another folder, or remove it first")
    if destination.exists() and any(destination.iterdir()):
        raise InputError(f"'{destination}' exists and is not empty; give another folder, or remove it first")
    destination = destination.absolute()
    draft = destination.with_name(f".{destination.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        inside = _copy_companions(base.checkpoint, draft)
        if isinstance(base.checkpoint, ConvertedCheckpoint):
            files = _write_converted(live, inside)
        else:
            files = _write_weights(live, base, inside, recipe)
        for file in files:
            file.chmod(draft.stat().st_mode & 0o666)  # safetensors keeps its files to their owner
        if destination.exists():
            destination.rmdir()
        draft.rename(destination)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write to '{destination}' ({reason}); give another folder") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return [destination / file.relative_to(draft) for file in files]


def _copy_companions(base: Checkpoint, draft: Path) -> Path:
    """Copy all but the weights, and a pipeline's other components; return the folder for the weights."""
    inside = draft
    if base.pipeline and base.folder:
        inside = draft / base.folder.name
        inside.mkdir()
        _copy_files(base.pipeline, draft)
        copy_components(base.pipeline, draft, besides=base.folder.name)
    if base.folder:
        _copy_files(base.folder, inside)
    return inside


def _copy_files(folder: Path, draft: Path) -> None:
    """Copy configuration, tokenizer, chat template, model card: all that is no weight."""
    for path in sorted(folder.iterdir()):
        if path.is_file() and not any(path.match(pattern) for pattern in _WEIGHTS):
            shutil.copy2(path, draft / path.name)


def _write_weights(live: BoundModel[Any], base: Source, draft: Path, recipe: Mapping[str, Any]) -> list[Path]:
    metadata = {"format": "pt", "mergesearch": json.dumps(recipe, sort_keys=True)}
    names = base.stored_as()
    tensors = live.tensors()
    shards = _shards(base.checkpoint)
    total = 0
    for file, stored in shards.items():
        values = ((name, tensors[names[name]] if name in names else base.checkpoint.read(name)) for name in stored)
        content = {name: _apart(value) for name, value in values}
        save_file(content, draft / file, metadata)
        total += sum(value.numel() * value.element_size() for value in content.values())
    if len(shards) > 1:
        weight_map = {name: file for file, stored in shards.items() for name in stored}
        index = {"metadata": {**_index_metadata(base.checkpoint), "total_size": total}, "weight_map": weight_map}
        (draft / base.checkpoint.index).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    if not is_diffusers(base.checkpoint):
        _note_dtype(draft, floating_tensors(live.model))
    return [draft / file for file in shards]


def _write_converted(live: BoundModel[Any], draft: Path) -> list[Path]:
    """Let transformers turn the weights back into the names and shards that the base's files have."""
    save: Any = live.model.save_pretrained  # a method of transformers' models, which alone are converted
    tensors, tied = live.tensors(), tied_names(live.model)
    state = ((name, tensors.get(tied.get(name, name), value)) for name, value in live.model.state_dict().items())
    save(draft, state_dict={name: _apart(value) for name, value in state})
    return sorted(draft.glob("*.safetensors"))


def _apart(value: torch.Tensor) -> torch.Tensor:
    """A copy on its own: safetensors refuses tensors that share memory or have gaps."""
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def _shards(base: Checkpoint) -> dict[str, list[str]]:
    """File name -> stored names, as the base has them; one file where the base is no safetensors checkpoint."""
    if not isinstance(base, SafetensorsCheckpoint):
        return {base.single: list(base.headers)}
    files: dict[str, list[str]] = {}
    for name, path in base.shards.items():
        files.setdefault(path.name if base.folder else base.single, []).append(name)
    return files


def _index_metadata(base: Checkpoint) -> Mapping[str, Any]:
    metadata: Mapping[str, Any] = read_json(base.path / base.index).get("metadata", {})
    return metadata


def _note_dtype(draft: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """State the weights' dtype in config.json, for loaders follow it."""
    path = draft / "config.json"
    dtypes = {tensor.dtype for tensor in tensors.values()}
    if not path.is_file() or len(dtypes) != 1:
        return
    config = read_json(path)
    name = str(dtypes.pop()).removeprefix("torch.")
    key = "torch_dtype" if "torch_dtype" in config and "dtype" not in config else "dtype"
    if config.get(key) != name:
        path.write_text(json.dumps({**config, key: name}, indent=2) + "\n", encoding="utf-8")
