"""Loads the base as a live torch module: by its transformers configuration, or by the user's own function."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointError, InputError
from ..plugins import load_object
from .checkpoint import Checkpoint
from .source import Source, Target
from .tensors import floating_tensors, tied_names

log = logging.getLogger(__name__)


def load_model(base: Checkpoint, network: str | None, dtype: str | None = None) -> nn.Module:
    """Return the base as a module on the CPU, in evaluation mode.

    Args:
        base: the base's checkpoint.
        network: `module:function` that builds the untrained module; None for a transformers folder.
        dtype: name of the floating dtype to run in; None for the stored one.

    Raises:
        InputError: unknown dtype; no `network` given for a lone file.
        CheckpointError: the architecture is unknown, or the weights do not fit the module.
    """
    wanted = _dtype(dtype)
    if network:
        model: nn.Module = load_object(network)()
        model.load_state_dict({name: base.read(name) for name in base.headers})
    elif base.folder and base.config:
        model = _load_transformers(base.folder, base.config, wanted)
    else:
        raise InputError(
            f"'{base.path}' is no transformers folder, so its architecture is unknown; "
            "set models.network to a function that builds the module (module:function or file.py:function)"
        )
    return model.to(wanted).eval() if wanted else model.eval()


def load_tokenizer(base: Checkpoint) -> Any | None:
    """Return the tokenizer of the base's folder, or None where there is none."""
    if base.folder is None or not list(base.folder.glob("tokenizer*")):
        return None
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base.folder)


def target_of(model: nn.Module, base: Checkpoint, ignore: tuple[str, ...] = ()) -> Target:
    """What members must match: the live model's floating tensors, and what else the base's files hold."""
    from .checkpoint import TensorHeader

    headers = {
        name: TensorHeader(tuple(tensor.shape), tensor.dtype) for name, tensor in floating_tensors(model).items()
    }
    target = Target(headers, tied_names(model), frozenset(base.headers), ignore)
    Source("base", base, target)
    return target


def _load_transformers(folder: Path, config: dict[str, Any], dtype: torch.dtype | None) -> nn.Module:
    import transformers

    names = config.get("architectures") or []
    architecture = next((getattr(transformers, name) for name in names if hasattr(transformers, name)), None)
    if architecture is None:
        raise CheckpointError(
            f"'{folder}' has the architecture {names or 'none'}, which this transformers does not know; "
            "update transformers, or set models.network to a function that builds the module"
        )
    verbosity = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    try:
        model: nn.Module = architecture.from_pretrained(folder, dtype=dtype or "auto")
    finally:
        transformers.logging.set_verbosity(verbosity)
    return model


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"dtype '{name}' is no floating dtype of torch; give float32, bfloat16 or float16")
    return found
