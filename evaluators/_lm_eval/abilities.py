"""What a model allows: tried out once, on two short rows, before anything rests on it."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.cache_utils import DynamicCache, DynamicLayer, DynamicSlidingWindowLayer

from .._scoring import device_of
from .passes import logits_at
from .prompts import plan_reading, read
from .stages import Stage

# What one more forward pass costs, however few tokens it reads. Launching each layer: as much as so many floating-point
# operations; reading the weights: as much as so many tokens. The processor's are measured on Llamas of 0.2 and 100
# million weights, the accelerator's follow from their data sheets.
_LAUNCH = {"host": 6e7, "accelerator": 1e10}
_WEIGHTS = {"host": 20.0, "accelerator": 200.0}
# The positions of these depend on the length of the whole input, which its beginning does not tell.
_BY_LENGTH = ("dynamic", "longrope")
_PROMPTS = [[0, 1, 2, 3, 4], [0, 1, 3]]
# Whatever a model's own code makes of what it was not written for.
_REFUSALS = (AttributeError, IndexError, KeyError, NotImplementedError, RuntimeError, TypeError, ValueError)
_TOLERANCE = 0.05  # of the largest logit: wrong positions or masks differ by more, bfloat16's rounding by less


@dataclass(frozen=True)
class Kept:
    """What a model keeps of the tokens that it has read.

    Attributes:
        layers: that keep keys and values.
        bytes: of them, for each token.
    """

    layers: int
    bytes: int


@dataclass(frozen=True)
class Abilities:
    """How a model may be asked.

    Attributes:
        select: whether it can compute logits at chosen places alone.
        share: whether rows can go on from one beginning.
        kept: what it keeps, if rows can also go on behind a gap that a mask leaves out; else None.
        per_pass: what one more forward pass costs, in tokens.
    """

    select: bool
    share: bool
    kept: Kept | None
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
    cache = _plain_cache(model)
    share = cache is not None and _alike(_tried(model, parts, select), truth)
    kept = _kept(cache) if cache is not None and share and _generates_plainly(model) else None
    if kept and not _alike(_behind_a_gap(model, kept, select), _last_logits(model)):
        kept = None
    return Abilities(select, share, kept, _pass_in_tokens(model))


def _tried(model: Any, stages: Sequence[Stage], select: bool) -> torch.Tensor | None:
    """Logits at four places, or None where the model cannot be asked so."""
    scored = np.array([[False, True, True], [True, False, True]])
    wide = np.pad(scored, ((0, 0), (stages[-1].tokens.shape[1] - 3, 0)))
    with contextlib.suppress(*_REFUSALS):
        return logits_at(model, stages, wide, select)
    return None


def _last_logits(model: Any) -> torch.Tensor:
    """Those behind each of two prompts, read alone."""
    device = device_of(model)
    return torch.stack([model(torch.tensor([prompt], device=device)).logits[0, -1] for prompt in _PROMPTS])


def _behind_a_gap(model: Any, kept: Kept, select: bool) -> torch.Tensor | None:
    """The same, from keys and values of both in one batch; None where the model cannot be asked so."""
    device = device_of(model)
    first, second = (len(prompt) for prompt in _PROMPTS)
    last = torch.tensor([prompt[-1:] for prompt in _PROMPTS], device=device)
    attended = torch.ones((2, first), dtype=torch.int64, device=device)
    attended[1, second - 1 : -1] = 0
    places = torch.tensor([[first - 1], [second - 1]], device=device)
    with contextlib.suppress(*_REFUSALS):
        cache = read(model, plan_reading([prompt[:-1] for prompt in _PROMPTS], first, 0.0), kept.layers, 1, select)
        logits: torch.Tensor = model(
            last, attention_mask=attended, position_ids=places, past_key_values=cache, use_cache=True
        ).logits[:, -1]
        return logits
    return None


def _alike(found: torch.Tensor | None, truth: torch.Tensor | None) -> bool:
    if found is None or truth is None or found.shape != truth.shape:
        return False
    return torch.allclose(found, truth, rtol=0, atol=_TOLERANCE * float(truth.abs().nan_to_num().max()), equal_nan=True)


def _plain_cache(model: Any) -> DynamicCache | None:
    """The cache of two tokens, if it is transformers' ordinary one."""
    config = model.config.get_text_config(decoder=True).to_dict()
    if any(kind in str(config.get("rope_parameters") or config.get("rope_scaling")) for kind in _BY_LENGTH):
        return None
    try:
        cache = model(torch.tensor([[0, 1]], device=device_of(model)), use_cache=True).past_key_values
    except (AttributeError, TypeError):
        return None
    plain = (DynamicLayer, DynamicSlidingWindowLayer)
    return cache if type(cache) is DynamicCache and all(type(layer) in plain for layer in cache.layers) else None


def _kept(cache: DynamicCache) -> Kept | None:
    """None where a layer forgets what is far away: which that is, a gap would change."""
    layers = [layer for layer in cache.layers if type(layer) is DynamicLayer]
    tensors = [states for layer in layers for states in (layer.keys, layer.values) if states is not None]
    if len(tensors) < 2 * len(cache.layers):
        return None
    return Kept(len(layers), sum(states.nbytes for states in tensors) // 2)


def _generates_plainly(model: Any) -> bool:
    """Whether `generate` takes a cache of ours, and does not look at which tokens stand beside one another."""
    settings = getattr(model, "generation_config", None)
    return not any(getattr(settings, name, None) for name in ("cache_implementation", "no_repeat_ngram_size"))


def _pass_in_tokens(model: Any) -> float:
    """A token costs two operations for each weight."""
    layers = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", 1)
    weights = sum(weight.numel() for weight in model.parameters())
    kind = "host" if device_of(model).type == torch.default_generator.device.type else "accelerator"
    return float(_LAUNCH[kind] * layers / (2 * weights)) + _WEIGHTS[kind]
