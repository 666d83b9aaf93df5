"""Diffusion models in diffusers' folders: a model's own, or a pipeline's, whose denoiser is what is merged."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import CheckpointError, InputError
from ..network.quiet import quiet
from .checkpoint import Checkpoint, read_json

PIPELINE = "model_index.json"
STEM = "diffusion_pytorch_model"  # what the names of diffusers' weight files start with

_CLASS = "_class_name"
_DENOISER = re.compile(r"(unet|transformer)(_\d+)?")


def is_diffusers(checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint's configuration names a class of diffusers."""
    return _CLASS in checkpoint.config


def denoiser_of(pipeline: Path) -> str:
    """Name of the component that is merged: the pipeline's only `unet` or `transformer`.

    Raises:
        CheckpointError: it has none, or several.
    """
    parts = components(pipeline)
    found = [name for name in parts if _DENOISER.fullmatch(name)]
    if len(found) != 1:
        given = f"{len(found)} denoisers ({', '.join(found)})" if found else "no unet or transformer"
        example = pipeline / next(iter(found or parts), "unet")
        raise CheckpointError(f"pipeline '{pipeline}' has {given}; give the folder of one model, such as '{example}'")
    return found[0]


def components(pipeline: Path) -> list[str]:
    """Names of a pipeline's components that have a folder."""
    entries = read_json(pipeline / PIPELINE)
    return [name for name, value in entries.items() if isinstance(value, list) and (pipeline / name).is_dir()]


def copy_components(pipeline: Path, destination: Path, besides: str) -> None:
    """Copy the folders of all components but one."""
    for name in components(pipeline):
        if name != besides:
            shutil.copytree(pipeline / name, destination / name)


def load_diffusers(checkpoint: Checkpoint, dtype: torch.dtype | None) -> nn.Module:
    """Load a folder with the class that its configuration names, in the stored dtype unless one is given.

    Raises:
        InputError: diffusers is not installed.
        CheckpointError: the class is unknown, or the files cannot be loaded, or lack tensors.
    """
    try:
        import diffusers
    except ImportError as error:
        raise InputError(
            f"'{checkpoint.path}' is a model of diffusers, which is not installed; "
            "install it with: pip install 'mergesearch[diffusers]'"
        ) from error
    name = checkpoint.config[_CLASS]
    kind: Any = getattr(diffusers, name, None)
    if kind is None:
        raise CheckpointError(
            f"'{checkpoint.path}' is of class '{name}', which this diffusers does not know; upgrade diffusers, "
            "or set models.network to a function that builds the module"
        )
    options = {"torch_dtype": dtype or _stored_dtype(checkpoint), "output_loading_info": True}
    try:
        with quiet(diffusers.utils.logging):
            model, found = kind.from_pretrained(checkpoint.folder, **options)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"diffusers cannot load '{checkpoint.path}' as {name} ({reason}); copy or download it again"
        ) from error
    if found["missing_keys"]:
        missing = list(found["missing_keys"])
        raise CheckpointError(
            f"'{checkpoint.path}' lacks {len(missing)} tensors of its network, such as '{missing[0]}'; "
            "copy or download it again"
        )
    return model  # type: ignore[no-any-return]


def _stored_dtype(checkpoint: Checkpoint) -> torch.dtype:
    """The floating dtype of the files; the widest of several."""
    dtypes = {header.dtype for header in checkpoint.headers.values() if header.dtype.is_floating_point}
    return functools.reduce(torch.promote_types, dtypes)
