"""Loads the base as a live torch module: by its transformers configuration, or by the user's own function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import CheckpointError, InputError, nearest
from ...plugins import load_object
from ..checkpoints.checkpoint import Checkpoint, TensorHeader
from ..checkpoints.diffusion import is_diffusers, load_diffusers
from ..checkpoints.source import Target, stored_names
from .quiet import quiet
from .tensors import floating_tensors, tied_names

_DTYPES = {str(dtype)[6:]: dtype for dtype in (torch.float32, torch.bfloat16, torch.float16, torch.float64)}


def load_model(
    base: Checkpoint, network: str | None, dtype: str | None = None, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Return the base as a module on the CPU, in evaluation mode.

    Args:
        base: the base's checkpoint.
        network: `module:function` that builds the untrained module; None for a folder of transformers or diffusers.
        dtype: name of the floating dtype to run in; None for the stored one, or the one that `network` builds.
        options: further ones of `from_pretrained`, for folders of transformers: to load onto other devices.

    Raises:
        InputError: unknown dtype; no `network` given for a lone file, or it builds no module.
        CheckpointError: the architecture is unknown, or the weights do not fit the module.
    """
    wanted = _dtype(dtype)
    _ = base.headers  # a broken file is named here, before anything else stumbles over it
    if network:
        model = _build(network, base)
    elif is_diffusers(base):
        return load_diffusers(base, wanted).eval()
    elif base.folder and base.config:
        model, _ = load_transformers(base.folder, base.config, wanted, **(options or {}))
    else:
        raise InputError(
            f"'{base.path}' is no folder of transformers or diffusers, so its architecture is unknown; "
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
    """What members must match: the live model's floating tensors, and what else the base's files hold.

    Raises:
        CheckpointError: the base's files lack tensors, which the live model would hold at random.
    """
    target = replace(target_without_files(model), spare=frozenset(base.headers), ignore=ignore)
    found = stored_names(base, target)
    missing = [name for name in target.merged() if name not in found]
    if missing:
        raise CheckpointError(
            f"the base's files lack {len(missing)} tensors of its network, such as '{missing[0]}'; "
            "copy or download it again, or list them under models.ignore"
        )
    return target


def target_without_files(model: nn.Module) -> Target:
    """What members must match, as far as the module alone tells."""
    headers = {
        name: TensorHeader(tuple(tensor.shape), tensor.dtype) for name, tensor in floating_tensors(model).items()
    }
    conv1d = [path for path, module in model.named_modules() if type(module).__name__ == "Conv1D"]
    return Target(headers=headers, tied=tied_names(model), transposed=frozenset(f"{path}.weight" for path in conv1d))


def _build(network: str, base: Checkpoint) -> nn.Module:
    model = load_object(network)()
    if not isinstance(model, nn.Module):
        raise InputError(f"models.network '{network}' returns a {type(model).__name__}, no torch module; return one")
    try:
        model.load_state_dict(_under_all_names({name: base.read(name) for name in base.headers}, tied_names(model)))
    except RuntimeError as error:
        differences = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise CheckpointError(
            f"'{base.path}' does not fit the module that '{network}' builds ({differences}); build the network it is of"
        ) from error
    return model


def _under_all_names(tensors: dict[str, torch.Tensor], tied: Mapping[str, str]) -> dict[str, torch.Tensor]:
    """Complete what files hold of tied tensors, which safetensors keeps under one of their names only."""
    found = {first: tensors[further] for further, first in tied.items() if further in tensors} | tensors
    return {further: found[first] for further, first in tied.items() if first in found} | found


def load_transformers(
    folder: Path, config: dict[str, Any], dtype: torch.dtype | None, **options: Any
) -> tuple[nn.Module, bool]:
    """Load a folder with the class that its configuration names; also, whether its files had every tensor.

    Further options are those of `from_pretrained`.

    Raises:
        CheckpointError: the architecture is unknown, or the files cannot be loaded.
    """
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    names = config.get("architectures") or []
    architecture = next((getattr(transformers, name) for name in names if hasattr(transformers, name)), None)
    if architecture is None:
        raise CheckpointError(
            f"'{folder}' is of architecture {names or 'none'}, which this transformers does not know; "
            "upgrade transformers, or set models.network to a function that builds the module"
        )
    try:
        with quiet(transformers.utils.logging):
            loaded = architecture.from_pretrained(folder, dtype=dtype or "auto", output_loading_info=True, **options)
    except (RuntimeError, ValueError, OSError, StrictDataclassError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(
            f"transformers cannot load '{folder}' as {architecture.__name__} ({reason}); copy or download it again"
        ) from error
    model, found = loaded
    complete = not (found["missing_keys"] or found["mismatched_keys"] or found["unexpected_keys"])
    return model, complete


def _dtype(name: str | None) -> torch.dtype | None:
    if name is None:
        return None
    if name not in _DTYPES:
        raise InputError(f"cannot run in dtype '{name}'; {nearest(name, _DTYPES)}")
    return _DTYPES[name]
