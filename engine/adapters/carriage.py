"""Carries adapters beside the weights of a model: a forward hook on each module that holds one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from .carriers import Carrier, carriers_of
from .stack import Stack

log = logging.getLogger(__name__)


class Carriage:
    """Hooks that add what the factors give.

    Args:
        model: the module.
        stacks: weight's name -> all members' factors.
        diagonal: gives the coefficients of a weight, `ranks`, or None where its adapters add nothing now.

    Raises:
        InputError: a module beside which no adapter can be kept.
    """

    def __init__(
        self, model: nn.Module, stacks: Mapping[str, Stack], diagonal: Callable[[str], torch.Tensor | None]
    ) -> None:
        self._diagonal = diagonal
        carriers = list(carriers_of(model, stacks))
        self._silent: set[str] | None = {carrier.path for carrier in carriers}  # modules that were not called so far
        self._handles = [self._hook(carrier, stacks[carrier.weight]) for carrier in carriers]

    def take_off(self) -> None:
        """Remove the hooks."""
        for handle in self._handles:
            handle.remove()

    def warn_of_silent(self) -> None:
        """Tell, once, of modules that were not called while others were: where a weight is read, nothing is added."""
        if self._silent is None or len(self._silent) == len(self._handles):
            return
        if self._silent:
            log.warning(
                "%d modules with adapters, such as '%s', were not called when the model was scored: their "
                "coefficients change nothing. If the model reads their weights in another way, set "
                "models.adapters: merged",
                len(self._silent),
                min(self._silent),
            )
        self._silent = None

    def _hook(self, carrier: Carrier, stack: Stack) -> Any:
        def add(module: nn.Module, args: Any, kwargs: Any, output: torch.Tensor) -> torch.Tensor:
            if self._silent:
                self._silent.discard(carrier.path)
            diagonal = self._diagonal(carrier.weight)
            if diagonal is None:
                return output
            inputs = args[0] if args else next(iter(kwargs.values()))
            return output + carrier.addition(stack, inputs.to(stack.up.device), diagonal)

        return carrier.module.register_forward_hook(add, with_kwargs=True)
