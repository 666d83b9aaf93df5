"""Identity of a live module but for its weights: what it computes with them."""

from __future__ import annotations

import hashlib
import inspect
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

_ADDRESS = re.compile(r"0x[0-9a-f]+")  # of functions that are printed as settings
# Every module's own books (hooks among them), and where a configuration was read from.
_OF_THE_MOMENT = {*vars(nn.Module()), "name_or_path", "_name_or_path", "warnings_issued"}
_VERSIONS = {"transformers_version", "_diffusers_version"}  # of what wrote a configuration, not of what runs


def architecture_digest(model: nn.Module) -> str:
    """Hash (hexadecimal) of a module's tree, its settings, its configurations, and the code of its classes.

    Two modules of one digest and the same tensors give the same outputs for the same inputs: the tree is hashed as it
    prints, with the plain attributes of each module; of classes outside torch the whole file, since its helpers
    matter too.

    Args:
        model: as it was loaded; a configuration (`config`, `generation_config`) is one of transformers or diffusers.
    """
    found = hashlib.sha256(torch.__version__.encode())
    found.update(_ADDRESS.sub("", repr(model)).encode())
    for path, module in model.named_modules():
        found.update(_plain(path, dict(sorted(vars(module).items()))))
    for name in ("config", "generation_config"):
        found.update(_plain(name, _settings(getattr(model, name, None))))
    for code in _code(model):
        found.update(code)
    return found.hexdigest()


def _plain(name: str, values: dict[str, Any]) -> bytes:
    """The values that JSON knows, but for those of the moment."""
    kept = {key: value for key, value in values.items() if key not in _OF_THE_MOMENT | _VERSIONS and _is_plain(value)}
    return json.dumps([name, kept], sort_keys=True).encode()


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _settings(config: Any) -> dict[str, Any]:
    """What a configuration says; one of the user's own kind says what its attributes are."""
    if hasattr(config, "to_dict"):
        return dict(config.to_dict())
    return dict(config) if isinstance(config, Mapping) else dict(getattr(config, "__dict__", {}))


def _code(model: nn.Module) -> Iterator[bytes]:
    """The files, each once, that define the modules' classes and their bases outside of torch."""
    kinds = {base for module in model.modules() for base in type(module).__mro__}
    own = [kind for kind in kinds if kind.__module__.partition(".")[0] not in ("torch", "builtins")]
    paths = {path for kind in own if (path := _source(kind)) is not None}
    yield from sorted(hashlib.sha256(path.read_bytes()).digest() for path in paths)


def _source(kind: type) -> Path | None:
    try:
        path = inspect.getsourcefile(kind)
    except (TypeError, OSError):  # one that was made while the program ran
        return None
    return Path(path) if path is not None and Path(path).is_file() else None
