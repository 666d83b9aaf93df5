"""Negative log-likelihood of gold targets, teacher-forced, with gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from .._outputs import logits_of
from .._scoring import device_of
from ..statistics.scores import MetricScores
from .pieces import Piece


def backward_loss(model: Any, documents: Sequence[Sequence[Piece]], batch_size: int, limit: int) -> MetricScores:
    """Differentiate Σ nats / Σ target tokens of the documents, batch by batch; nats per token.

    Per token, and not as a mean of the documents' own means: so the loss is the mean log-likelihood of whole targets,
    which is what makes an answer right, divided by a number that no model changes.

    Args:
        model: a causal language model of transformers, in evaluation mode.
        documents: the pieces of each document's target.
        batch_size: pieces per forward pass.
        limit: most tokens that the model reads.
    """
    owners = np.repeat(np.arange(len(documents)), [len(pieces) for pieces in documents])
    pieces = [piece for some in documents for piece in some]
    tokens = np.bincount(owners, [piece.scored for piece in pieces])
    nats, size = np.zeros(len(documents)), min(batch_size, len(pieces))
    for rows in _batches(pieces, size):
        width = min(_width(len(pieces[rows[0]].tokens) - 1), limit)
        each = _nats(model, [pieces[row] for row in rows], (size, width))
        (each.sum() / tokens.sum()).backward()
        np.add.at(nats, owners[rows], each.detach().cpu().double().numpy())
    return MetricScores.weighted(nats, tokens)


def _batches(pieces: Sequence[Piece], size: int) -> Iterator[list[int]]:
    """Rows of pieces of similar length, the longest first, so that memory runs out at once or never."""
    order = sorted(range(len(pieces)), key=lambda row: -len(pieces[row].tokens))
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _nats(model: Any, pieces: Sequence[Piece], shape: tuple[int, int]) -> torch.Tensor:
    """Negative log-likelihood of each piece's target, float32, `pieces`, from a batch of one of few shapes.

    Kernels choose their summation order by shape. The padding stands on the right without a mask: in a causal model,
    what stands behind a token has no part in its logits.
    """
    tokens, targets = (torch.zeros(shape, dtype=torch.long, device=device_of(model)) for _ in range(2))
    scored = torch.zeros(shape, dtype=torch.bool, device=tokens.device)
    for row, piece in enumerate(pieces):
        read = len(piece.tokens) - 1
        tokens[row, :read] = torch.tensor(piece.tokens[:-1])
        targets[row, :read] = torch.tensor(piece.tokens[1:])
        scored[row, read - piece.scored : read] = True
    logits = logits_of(model, tokens)[scored].float()
    each = torch.nn.functional.cross_entropy(logits, targets[scored], reduction="none")
    return torch.zeros(shape, device=each.device).masked_scatter(scored, each).sum(dim=1)[: len(pieces)]


def _width(length: int) -> int:
    """The next of 8, 12, 16, 24, 32, 48, …: at most half of it more."""
    step = max(4, 1 << max(0, (length - 1).bit_length() - 2))
    return -(-length // step) * step
