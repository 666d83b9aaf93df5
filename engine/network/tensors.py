"""The tensors of a live model that a merge writes: every floating parameter and persistent buffer, once each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import nn

from ...errors import InputError
from ..checkpoints.source import Source


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


def differentiable_tensors(model: nn.Module) -> dict[str, torch.Tensor]:
    """Those of `floating_tensors` that autograd may follow: all but running statistics, which torch's norms refuse."""
    norms = [module for module in model.modules() if hasattr(module, "track_running_stats")]
    running = {id(buffer) for module in norms for buffer in module.buffers(recurse=False)}
    return {name: tensor for name, tensor in floating_tensors(model).items() if id(tensor) not in running}


def tied_names(model: nn.Module) -> dict[str, str]:
    """Every further name of a tied tensor -> the name under which it stands."""
    first: dict[int, str] = {}
    return {
        name: first[id(tensor)]
        for name, tensor in _stored(model)
        if first.setdefault(id(tensor), name) != name and tensor.is_floating_point()
    }


def check_in_memory(tensors: Mapping[str, torch.Tensor]) -> None:
    """Refuse tensors whose values are elsewhere: on a disk, or with another device than the one that computes.

    Raises:
        InputError: a tensor is a placeholder; names it.
    """
    away = [name for name, tensor in tensors.items() if tensor.is_meta]
    if away:
        raise InputError(
            f"{len(away)} tensors of the model, such as '{away[0]}', are offloaded and hold no values; "
            "spread the model over more devices, or take one that has room for all of it"
        )


Kind = tuple[torch.device, torch.dtype]


def kinds_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, Kind]:
    """Device and dtype of every tensor; reads none whose kind is known without."""
    if isinstance(tensors, BaseTensors):
        return dict(tensors.kinds)
    return {name: (tensor.device, tensor.dtype) for name, tensor in tensors.items()}


class BaseTensors(Mapping[str, torch.Tensor]):
    """The base's tensors in the live model's dtypes and on its devices, read from the checkpoint when asked for.

    Read anew, not taken from the live model, which may hold a candidate by now.

    Attributes:
        kinds: device and dtype of each.

    Raises:
        InputError: the model holds no values for a tensor.
    """

    def __init__(self, base: Source, model: nn.Module, names: Sequence[str]) -> None:
        self._base = base
        live = floating_tensors(model)
        check_in_memory({name: live[name] for name in names})
        self.kinds = {name: (live[name].device, live[name].dtype) for name in names}

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._base.read(name).to(*self.kinds[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def __len__(self) -> int:
        return len(self.kinds)


def _stored(model: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Parameters and persistent buffers under all their names, module by module."""
    place = {name: position for position, name in enumerate(model.state_dict())}
    found: list[tuple[str, torch.Tensor]] = list(model.named_parameters(remove_duplicate=False))
    found += [(name, value) for name, value in model.named_buffers(remove_duplicate=False) if name in place]
    return sorted(found, key=lambda entry: place.get(entry[0], -1))
