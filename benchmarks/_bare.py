"""The forward passes of a trial once more, with nothing between them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mergesearch.evaluators._lm_eval.roomy import RoomyCache

_CACHE = "past_key_values"
Call = tuple[tuple[Any, ...], dict[str, Any]]


def recorded(model: nn.Module, trial: Callable[[], object]) -> list[Call]:
    """The arguments of every call of the model in a trial; of transformers' own cache, whether it held anything."""
    calls: list[Call] = []

    def note(module: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        held = options.get(_CACHE)
        goes_on = held is not None and held.get_seq_length() > 0
        calls.append((inputs, {**options, _CACHE: _view(held) if isinstance(held, RoomyCache) else goes_on}))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        trial()
    finally:
        handle.remove()
    return calls


def tokens_of(call: Call) -> torch.Tensor:
    """The tokens that a call reads, `rows x width`."""
    inputs, options = call
    tokens: torch.Tensor = options["input_ids"] if "input_ids" in options else inputs[0]
    return tokens


@torch.no_grad()
def replay(model: nn.Module, calls: list[Call]) -> None:
    """Make the same calls; one that went on from a cache goes on from that of the call before it.

    Where it has more rows than that, they go on from all of its rows in equal parts: the same work as in the trial.
    A roomy cache is written again as it was.
    """
    cache: Any = None
    for inputs, options in calls:
        if isinstance(options[_CACHE], RoomyCache):
            cache = _view(options[_CACHE])
        elif not options[_CACHE]:
            cache = None
        elif (rows := len(tokens_of((inputs, options)))) != cache.batch_size:
            cache.batch_select_indices(torch.arange(rows) * cache.batch_size // rows)
        cache = model(*inputs, **{**options, _CACHE: cache}).past_key_values


def _view(cache: RoomyCache) -> RoomyCache:
    """The same keys and values, seen by a cache that goes on by itself."""
    other = copy.copy(cache)
    other.layers = [copy.copy(layer) for layer in cache.layers]
    return other
