"""The tensors of a live model that a merge writes: every floating parameter and persistent buffer, once each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from .source import Source


def floating_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Name -> floating parameter or persistent buffer; tied tensors stand once, under their first name.

    Integer buffers are left out: a merge never touches them.
    """
    found: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in _stored(model):
        if tensor.is_floating_point() and id(tensor) not in seen:
            seen.add(id(tensor))
            found[name] = tensor
    return found


def tied_names(model: nn.Module) -> dict[str, str]:
    """Every further name of a tied tensor -> the name under which it stands."""
    first: dict[int, str] = {}
    return {
        name: first[id(tensor)]
        for name, tensor in _stored(model)
        if first.setdefault(id(tensor), name) != name and tensor.is_floating_point()
    }


class BaseTensors(Mapping[str, torch.Tensor]):
    """The base's tensors in the live model's dtypes and on its device, read from the checkpoint when asked for.

    Read anew, not taken from the live model, which may hold a candidate by now.
    """

    def __init__(self, base: Source, model: nn.Module, names: Sequence[str]) -> None:
        self._base = base
        live = floating_tensors(model)
        self._kinds = {name: (live[name].device, live[name].dtype) for name in names}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._base.read(name).to(*self._kinds[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


def _stored(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and persistent buffers under all their names, module by module."""
    place = {name: position for position, name in enumerate(model.state_dict())}
    found: list[tuple[str, torch.Tensor]] = list(model.named_parameters(remove_duplicate=False))
    found += [(name, value) for name, value in model.named_buffers(remove_duplicate=False) if name in place]
    return sorted(found, key=lambda entry: place.get(entry[0], -1))
