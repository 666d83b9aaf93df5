"""Log-likelihoods of many pieces: batches planned once, and computed with any weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from .abilities import Abilities
from .packing import Budget, Row, packed, rows_of
from .passes import logits_at
from .pieces import Piece
from .stages import BoolArray, IntArray, Stage, staged


@dataclass(frozen=True)
class Batch:
    """What is read together, and what it answers.

    Attributes:
        stages: what is read.
        scored: places of the last stage whose logits are needed, bool, `rows x width`.
        at: which of those, row by row, predicts each target token, int64, `targets`.
        targets: the target tokens, piece by piece, int64, `targets`.
        pieces: numbers of the pieces, in that order, int64, `pieces`.
        starts: where the targets of each begin, int64, `pieces`.
    """

    stages: list[Stage]
    scored: BoolArray
    at: IntArray
    targets: IntArray
    pieces: IntArray
    starts: IntArray


def plan_batches(
    pieces: Sequence[Piece], units: Iterable[Sequence[int]], budget: Budget, abilities: Abilities
) -> list[Batch]:
    """Put pieces into batches.

    Args:
        pieces: all of them.
        units: numbers of pieces that probably begin alike, such as those of one document; some may be empty.
        budget: of each batch.
        abilities: of the model that will read them.
    """
    rows = [rows_of(pieces, unit) for unit in units if unit]
    per_stage = abilities.per_pass if abilities.share else math.inf
    return [_batch(pieces, batch, per_stage) for batch in packed(pieces, rows, budget, abilities.per_pass)]


def likelihoods(model: Any, select: bool, batches: Sequence[Batch]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Log-likelihood of each planned piece's target, nats, and whether the model itself would have said it.

    Both by the pieces' numbers. As in lm-eval, log-probabilities have the dtype of the logits, and so do their sums.

    Args:
        model: a causal language model of transformers.
        select: whether it can compute logits at chosen places alone.
        batches: with all pieces; none where no text has a token.
    """
    if not batches:
        return np.zeros(0), np.zeros(0, dtype=np.bool_)
    found = [_targets(model, select, batch) for batch in batches]
    logs, greedy = (torch.cat(parts).cpu() for parts in zip(*found, strict=True))
    offsets = accumulate((len(batch.targets) for batch in batches), initial=0)
    starts = np.concatenate([batch.starts + offset for batch, offset in zip(batches, offsets, strict=False)])
    order = np.argsort(np.concatenate([batch.pieces for batch in batches]))
    sums = torch.from_numpy(np.add.reduceat(logs.double().numpy(), starts)).to(logs.dtype)
    return sums.double().numpy()[order], np.logical_and.reduceat(greedy.numpy(), starts)[order]


def _targets(model: Any, select: bool, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each target token, and whether it is the likeliest."""
    logits = logits_at(model, batch.stages, batch.scored, select)
    at, targets = (torch.from_numpy(one).to(logits.device) for one in (batch.at, batch.targets))
    return logits.log_softmax(dim=-1)[at, targets], logits.argmax(dim=-1)[at] == targets


def _batch(pieces: Sequence[Piece], rows: Sequence[Row], per_stage: float) -> Batch:
    rows = sorted(rows, key=lambda row: row.tokens)
    width = max(len(row.tokens) for row in rows)
    tokens = np.zeros((len(rows), width), dtype=np.int64)
    scored = np.zeros((len(rows), width), dtype=np.bool_)
    spans = []  # row, first scored place, and place behind the last, of each piece
    for number, row in enumerate(rows):
        tokens[number, : len(row.tokens)] = row.tokens
        for one in row.pieces:
            end = len(pieces[one].tokens) - 1
            spans.append((number, end - pieces[one].scored, end))
            scored[number, end - pieces[one].scored : end] = True
    stages = staged(tokens, min(start for _, start, _ in spans), per_stage)
    index = np.cumsum(scored).reshape(scored.shape) - 1
    numbers = [one for row in rows for one in row.pieces]
    targets = [pieces[one].tokens[-pieces[one].scored :] for one in numbers]
    return Batch(
        stages,
        scored[:, width - stages[-1].tokens.shape[1] :],
        np.concatenate([index[row, start:end] for row, start, end in spans]),
        np.concatenate(targets).astype(np.int64),
        np.array(numbers),
        np.array([0, *accumulate(len(one) for one in targets[:-1])]),
    )
