"""Log-likelihood requests as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ...errors import InputError
from .model import HarnessModel


class Piece(NamedTuple):
    """Tokens that are shown to the model at once; the last `scored` of them are predicted from those before."""

    tokens: list[int]
    scored: int

    @property
    def read(self) -> list[int]:
        """What the model reads: all but the last token, which is only predicted."""
        return self.tokens[:-1]


def piece(context: Sequence[int], target: Sequence[int], limit: int) -> Piece:
    """A target behind its context, which loses its beginning where the model cannot read `limit` tokens."""
    tokens = [*context, *target][-(limit + 1) :]  # the last token is predicted, and never read
    return Piece(tokens, min(len(target), len(tokens) - 1))


def pieces_of(model: HarnessModel, request: Any) -> list[Piece]:
    """The pieces of one request (an Instance): one, or the windows of a rolling request.

    Raises:
        InputError: a continuation without tokens, or with more than the model reads.
    """
    pairs = model.token_pairs(request)
    for _, target in pairs:
        if not 0 < len(target) <= model.max_length:
            raise InputError(
                f"task '{request.task_name}', document {request.doc_id}: {request.args[-1][:80]!r} has {len(target)} "
                f"tokens to be predicted; give 1 to {model.max_length}"
            )
    return [piece(context, target, model.max_length) for context, target in pairs]
