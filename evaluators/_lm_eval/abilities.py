"""What a model allows: tried out once, on two short rows, before anything rests on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from .._scoring import device_of
from .passes import logits_at
from .stages import Stage

# What one more forward pass costs, however few tokens it reads. Launching each layer: as much as so many floating-point
# operations; reading the weights: as much as so many tokens. The processor's are measured on Llamas of 0.2 and 100
# million weights, the accelerator's follow from their data sheets.
_LAUNCH = {"host": 6e7, "accelerator": 1e10}
_WEIGHTS = {"host": 20.0, "accelerator": 200.0}
# The positions of these depend on the length of the whole input, which its beginning does not tell.
_BY_LENGTH = ("dynamic", "longrope")
_TOLERANCE = 0.05  # of the largest logit: wrong positions or masks differ by more, bfloat16's rounding by less


@dataclass(frozen=True)
class Abilities:
    """How a model may be asked.

    Attributes:
        select: whether it can compute logits at chosen places alone.
        share: whether rows can go on from one beginning.
        per_pass: what one more forward pass costs, in tokens.
    """

    select: bool
    share: bool
    per_pass: float


@torch.no_grad()
def abilities_of(model: Any) -> Abilities:
    """Try out a causal language model of transformers: an ability counts only if the logits come out the same.

    Rows share a beginning where the model keeps keys and values in transformers' ordinary cache.
    """
    tokens = np.array([[0, 1, 2, 3, 4], [0, 1, 2, 4, 3]])
    whole, parts = [Stage(None, tokens)], [Stage(None, tokens[:1, :2]), Stage(np.array([0, 0]), tokens[:, 2:])]
    truth = _tried(model, whole, False)
    select = _alike(_tried(model, whole, True), truth)
    share = _keeps_plain_cache(model) and _alike(_tried(model, parts, select), truth)
    return Abilities(select, share, _pass_in_tokens(model))


def _tried(model: Any, stages: Sequence[Stage], select: bool) -> torch.Tensor | None:
    """Logits at four places, or None where the model cannot be asked so."""
    scored = np.array([[False, True, True], [True, False, True]])
    wide = np.pad(scored, ((0, 0), (stages[-1].tokens.shape[1] - 3, 0)))
    try:
        return logits_at(model, stages, wide, select)
    except (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError):
        return None  # whatever a model's own code makes of what it was not written for


def _alike(found: torch.Tensor | None, truth: torch.Tensor | None) -> bool:
    if found is None or truth is None or found.shape != truth.shape:
        return False
    return torch.allclose(found, truth, rtol=0, atol=_TOLERANCE * float(truth.abs().nan_to_num().max()), equal_nan=True)


def _keeps_plain_cache(model: Any) -> bool:
    config = model.config.get_text_config(decoder=True).to_dict()
    if any(kind in str(config.get("rope_parameters") or config.get("rope_scaling")) for kind in _BY_LENGTH):
        return False
    try:
        cache = model(torch.tensor([[0, 1]], device=device_of(model)), use_cache=True).past_key_values
    except (AttributeError, TypeError):
        return False
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    return type(cache) is DynamicCache and all(type(layer) in plain for layer in cache.layers)


def _pass_in_tokens(model: Any) -> float:
    """A token costs two operations for each weight."""
    layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", 1)
    weights = sum(weight.numel() for weight in model.parameters())
    kind = "host" if device_of(model).type == torch.default_generator.device.type else "accelerator"
    return float(_LAUNCH[kind] * layers / (2 * weights)) + _WEIGHTS[kind]
