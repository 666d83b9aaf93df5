"""Forward passes over a staged batch: logits where they are scored alone, and shared beginnings from the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .._scoring import device_of
from .stages import BoolArray, Stage


def logits_at(model: Any, stages: Sequence[Stage], scored: BoolArray, select: bool) -> torch.Tensor:
    """Logits at the scored places, row by row: `scored places x vocabulary`, in the model's dtype.

    No attention mask is needed: padding stands on the right, and in the last stage alone.

    Args:
        model: a causal language model of transformers.
        stages: what is read, in this order.
        scored: places of the last stage, bool, `rows x width`.
        select: let the model compute no other logits.
    """
    cache, device = None, device_of(model)
    for stage in stages[:-1]:
        least = {"logits_to_keep": 1} if select else {}  # they are of no use
        cache = model(_tokens(stage, cache, device), past_key_values=cache, use_cache=True, **least).past_key_values
    # A model of which nothing is known is asked as lm-eval would: with its tokens alone.
    options = {} if cache is None else {"past_key_values": cache}
    mask = torch.from_numpy(scored).to(device)
    if select:
        options |= {"logits_to_keep": mask, "use_cache": cache is not None}
    logits: torch.Tensor = model(_tokens(stages[-1], cache, device), **options).logits
    return logits if select else logits[mask.to(logits.device)]


def _tokens(stage: Stage, cache: Any, device: torch.device) -> torch.Tensor:
    """What the stage reads; the cache is given the rows that it goes on from."""
    if cache is not None:
        cache.batch_select_indices(torch.from_numpy(stage.parents).to(device))
    return torch.from_numpy(stage.tokens).to(device)
