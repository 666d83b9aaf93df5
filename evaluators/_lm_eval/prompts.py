"""Prompts read into a cache, all but their last tokens: what they begin with alike is read once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from .._scoring import device_of
from .roomy import RoomyCache
from .stages import IntArray, Stage, staged


@dataclass(frozen=True)
class Reading:
    """How a batch of prompts is read.

    Attributes:
        order: which prompt each row of the last stage is, int64, `rows`; the longest first.
        stages: what is read; padding stands on the right, and in the last stage alone.
        passes: for each stage, the rows and the number of tokens of each of its forward passes.
    """

    order: IntArray
    stages: list[Stage]
    passes: list[list[tuple[slice, int]]]


def plan_reading(prompts: Sequence[Sequence[int]], budget: int, per_pass: float) -> Reading:
    """Find out what prompts (each of a token or more) have in common, and which of them to read at once.

    Args:
        prompts: tokens that are to be read, of each.
        budget: rows of a forward pass times the tokens that they have then; one that exceeds it is read alone.
        per_pass: what one more forward pass costs, in tokens.
    """
    lengths = np.array([len(one) for one in prompts])
    alike = np.array(sorted(range(len(prompts)), key=lambda one: tuple(prompts[one])))
    tokens = np.zeros((len(prompts), lengths.max()), dtype=np.int64)
    for row, number in enumerate(alike):
        tokens[row, : lengths[number]] = prompts[number]
    *before, last = staged(tokens, min(lengths.min(), lengths.max() - 1), per_pass)
    longest_first = np.argsort(-lengths[alike], kind="stable")
    parents = None if last.parents is None else last.parents[longest_first]
    stages = [*before, Stage(parents, last.tokens[longest_first])]
    order = alike[longest_first]
    passes, start = [], 0
    for one in before:
        passes.append(_passes(start, np.full(len(one.tokens), one.tokens.shape[1]), budget))
        start += one.tokens.shape[1]
    passes.append(_passes(start, np.maximum(lengths[order] - start, 1), budget))
    return Reading(order, stages, passes)


@torch.no_grad()
def read(model: Any, reading: Reading, layers: int, room: int, select: bool) -> RoomyCache:
    """Read prompts into a cache that has room for so many tokens more.

    Args:
        model: a causal language model of transformers, of which one row may go on from another's keys and values.
        reading: of the prompts.
        layers: of the model that keep keys and values.
        room: for tokens of answers.
        select: let the model compute no logits, but one of each row.
    """
    device, start = device_of(model), 0
    least = {"logits_to_keep": 1} if select else {}  # they are of no use
    cache = RoomyCache(layers, 0, 0)
    for stage, passes in zip(reading.stages, reading.passes, strict=True):
        count, width = stage.tokens.shape
        last = stage is reading.stages[-1]
        before, cache = cache, RoomyCache(layers, count, start + width + (room if last else 0))
        for rows, wide in passes:
            if stage.parents is not None:
                cache.take_over(before, torch.from_numpy(stage.parents[rows]), rows, start)
            cache.turn_to(rows, start)
            tokens = torch.from_numpy(stage.tokens[rows, :wide]).to(device)
            model(tokens, past_key_values=cache, use_cache=True, **least)
        start += width
    cache.turn_to(slice(None), start)
    return cache


def _passes(start: int, widths: IntArray, budget: int) -> list[tuple[slice, int]]:
    """Rows that are read at once, in order of falling widths, and the width of the first.

    What the rows go on from counts, too, since attention holds keys and values of all of it.
    """
    found, row = [], 0
    while row < len(widths):
        width = int(widths[row])
        end = min(len(widths), row + max(1, budget // (start + width)))
        found.append((slice(row, end), width))
        row = end
    return found
