"""A bank as JSON: its dataclasses, mappings and sequences; what is a tensor is named by its place in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import torch

from .tier import Tier

Placing = Callable[[torch.Tensor], list[Any]]
Finding = Callable[[list[Any]], torch.Tensor]


def encode(value: Any, place: Placing) -> Any:
    """Return what `decode` gives back; `place` says where a tensor stands.

    Raises:
        TypeError: something that is none of these.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, torch.Tensor):
        return {"tensor": place(value)}
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, Tier):
        return {"tier": value.name}
    if isinstance(value, Mapping):
        return {"mapping": [[encode(key, place), encode(one, place)] for key, one in value.items()]}
    if hasattr(value, "_fields"):  # a named tuple
        return {type(value).__name__: {name: encode(one, place) for name, one in value._asdict().items()}}
    if isinstance(value, Sequence):
        return [encode(one, place) for one in value]
    if is_dataclass(value):
        return {
            type(value).__name__: {field.name: encode(getattr(value, field.name), place) for field in fields(value)}
        }
    raise TypeError(f"a bank's file cannot hold a {type(value).__name__}")


def decode(value: Any, find: Finding, tier: Tier, kinds: Mapping[str, type]) -> Any:
    """Return what was encoded; sequences become tuples. `kinds` are the dataclasses that there may be, by name."""
    if isinstance(value, list):
        return tuple(decode(one, find, tier, kinds) for one in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return find(content)
    if kind == "size":
        return torch.Size(content)
    if kind == "tier":
        return tier
    if kind == "mapping":
        return {key: decode(one, find, tier, kinds) for key, one in content}
    return kinds[kind](**{name: decode(one, find, tier, kinds) for name, one in content.items()})
