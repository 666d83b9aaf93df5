"""Token sequences in batches of few fixed shapes, and which of their tokens count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .._scoring import undisturbed
from ..evaluator import IntArray
from .answers import Answer, Tokens, tokens_of

_ROUNDING = 16  # rows are padded to multiples of it, so that few shapes are enough for sequences of all lengths


class Sequences:
    """Sequences of tokens, each with the place from which on its tokens are predicted.

    Args:
        tokens: of each sequence.
        batch_size: sequences per forward pass, at most.
    """

    def __init__(self, tokens: Sequence[Tokens], batch_size: int) -> None:
        self.tokens, self._batch_size = tokens, batch_size
        self._widths = np.array([-(-len(one.ids) // _ROUNDING) * _ROUNDING for one in tokens], dtype=np.int64)

    @classmethod
    def of_answers(
        cls, answers: Sequence[Answer], model: Any, tokenizer: Any, chat: bool, batch_size: int
    ) -> Sequences:
        """Prompts with their responses, of which the responses count.

        Raises:
            InputError: an answer longer than the model can attend to, or one without a response.
        """
        with undisturbed():
            tokens = [tokens_of(tokenizer, answer, chat) for answer in answers]
        reach = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        for number, one in enumerate(tokens, start=1):
            if reach is not None and len(one.ids) > reach:
                length = len(one.ids)
                raise InputError(f"answer {number} has {length} tokens, but the model attends to {reach}; shorten it")
            if len(one.ids) <= one.start:
                raise InputError(f"answer {number} has no token in its response; remove it")
        return cls(tokens, batch_size)

    def __len__(self) -> int:
        return len(self.tokens)

    def counted(self, rows: IntArray) -> NDArray[np.int64]:
        """How many tokens of each of these sequences count."""
        return np.array([len(self.tokens[row].ids) - self.tokens[row].start for row in rows], dtype=np.int64)

    def predicting(self, row: int) -> slice:
        """Where in its logits the tokens of a sequence that count are predicted."""
        return slice(self.tokens[row].start - 1, len(self.tokens[row].ids) - 1)

    def batches(self, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Batch after batch, places in `rows`, and the ids of those sequences on `device`, which come first in it.

        A batch has sequences of about one length, and its shape follows from that length and all sequences alone:
        kernels choose their summation order by shape, so what comes out does not depend on the others asked for.
        """
        for width in np.unique(self._widths[rows]).tolist():
            size = min(self._batch_size, int((self._widths == width).sum()))
            alike = np.flatnonzero(self._widths[rows] == width)
            for start in range(0, len(alike), size):
                places = alike[start : start + size]
                yield places, self._padded(rows[places], size, width).to(device)

    def _padded(self, rows: IntArray, size: int, width: int) -> Any:
        import torch

        ids = torch.zeros((size, width), dtype=torch.int64)  # what stands behind a sequence, no token of it attends to
        for place, row in enumerate(rows):
            one = self.tokens[row]
            ids[place, : len(one.ids)] = torch.tensor(one.ids)
        return ids
