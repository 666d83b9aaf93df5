"""Modules that can carry an adapter beside their weight: what the factors add to what they compute."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ...errors import InputError
from ..network.tensors import floating_tensors
from .stack import Stack

Addition = Callable[[Stack, torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Carrier:
    """A module that holds a weight with factors.

    Attributes:
        path: of the module.
        module: itself.
        weight: the weight's name in the model; a tied one's first.
        addition: what the factors give of its inputs.
    """

    path: str
    module: nn.Module
    weight: str
    addition: Addition


def carriers_of(model: nn.Module, names: Collection[str]) -> Iterator[Carrier]:
    """Yield every module that holds one of these weights; of a tied one all that do.

    Raises:
        InputError: a module computes something else with its weight than a linear map or a look-up.
    """
    wanted = {id(tensor): name for name, tensor in floating_tensors(model).items() if name in names}
    for path, module in model.named_modules():
        for own, tensor in module.named_parameters(recurse=False):
            if id(tensor) in wanted:
                if own != "weight" or not _carries(module):
                    raise InputError(
                        f"'{path}' is a {type(module).__name__}, beside which no adapter for its '{own}' can be kept "
                        "(beside Linear, Conv1D and Embedding it can); set models.adapters: merged"
                    )
                yield Carrier(path, module, wanted[id(tensor)], _KINDS[type(module).__name__])


def _carries(module: nn.Module) -> bool:
    """Whether it is exactly of a known class: a class derived from it may compute something else."""
    if isinstance(module, nn.Embedding) and module.max_norm is not None:  # it renormalises its rows as it is called
        return False
    return type(module) in (nn.Linear, nn.Embedding) or type(module).__name__ == "Conv1D"


def _linear(stack: Stack, inputs: torch.Tensor, diagonal: torch.Tensor) -> torch.Tensor:
    """ΔW·x, for weights `outputs x inputs`."""
    return functional.linear(_scaled(functional.linear(inputs, stack.down), diagonal), stack.up)


def _conv1d(stack: Stack, inputs: torch.Tensor, diagonal: torch.Tensor) -> torch.Tensor:
    """x·ΔW, for weights `inputs x outputs`."""
    return _scaled(inputs @ stack.up, diagonal) @ stack.down


def _embedding(stack: Stack, inputs: torch.Tensor, diagonal: torch.Tensor) -> torch.Tensor:
    """Rows of ΔW."""
    return _scaled(functional.embedding(inputs, stack.up), diagonal) @ stack.down


def _scaled(hidden: torch.Tensor, diagonal: torch.Tensor) -> torch.Tensor:
    """Times the coefficients, in their precision: their gradient is then summed in it, too."""
    return (hidden.to(diagonal.dtype) * diagonal).to(hidden.dtype)


_KINDS: dict[str, Addition] = {"Linear": _linear, "Conv1D": _conv1d, "Embedding": _embedding}
