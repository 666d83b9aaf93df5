"""How likely a language model finds given answers: the loss of the responses, given their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._answers import Tokens, read_answers, tokens_of
from ._digest import digest
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from .evaluator import Evaluator, IntArray, Scores
from .scores import MetricScores

_ROUNDING = 16  # rows are padded to multiples of it, so that few shapes are enough for answers of all lengths


class AnswersEvaluator(Evaluator):
    """Negative log-likelihood of responses in a JSONL file of prompts and responses; a sample is a line.

    On answers that a member gave, it says without labels or rewards how well a merged model keeps that member's
    behaviour, as AMA does (Lin et al. 2024, https://arxiv.org/abs/2309.06256, equation 9); `mergesearch answers`
    writes such a file. Prompts are not in the loss. Differentiable.
    """

    def __init__(self, name: str, file: str, batch_size: int = 16, apply_chat_template: bool = False) -> None:
        """Read the answers.

        Args:
            name: the evaluator's name, and its task's.
            file: path of JSON lines with `prompt`, `response` and perhaps `ended`: false for a response cut off.
            batch_size: answers per forward pass.
            apply_chat_template: put each prompt into the tokenizer's chat template.

        Raises:
            InputError: the file is missing or has a bad line, or the batch size is below 1.
        """
        super().__init__(name)
        if batch_size < 1:
            raise InputError(f"evaluator '{name}': batch_size = {batch_size}; give 1 or more")
        self.answers = read_answers(Path(file).expanduser())
        self.batch_size, self.chat = batch_size, apply_chat_template
        self._tokens: list[Tokens] = []

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the answers, once.

        Raises:
            InputError: no tokenizer, an answer longer than the model can attend to, or one without a response.
        """
        if tokenizer is None:
            raise InputError(f"evaluator '{self.name}' needs a tokenizer; put one beside the base model's weights")
        with undisturbed():
            self._tokens = [tokens_of(tokenizer, answer, self.chat) for answer in self.answers]
        reach = getattr(getattr(model, "config", None), "max_position_embeddings", None)
        for number, one in enumerate(self._tokens, start=1):
            if reach is not None and len(one.ids) > reach:
                length = len(one.ids)
                raise InputError(f"answer {number} has {length} tokens, but the model attends to {reach}; shorten it")
            if len(one.ids) <= one.start:
                raise InputError(f"answer {number} has no token in its response; remove it")

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of answers."""
        return {self.name: len(self.answers)}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`loss` (nats per token of the responses) and `perplexity`; lower is better."""
        return {self.name: {"loss": False, "perplexity": False}}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on answers: loss = Σ nll / Σ tokens, perplexity = exp of that."""
        rows = np.asarray(samples[self.name])
        nats = np.empty(len(rows))
        with undisturbed(model):
            for places, losses in self._losses(model, rows):
                nats[places] = [float(loss) for loss in losses]
        sizes = self._sizes(rows)
        scores = {
            "loss": MetricScores.weighted(nats, sizes),
            "perplexity": MetricScores.weighted(nats, sizes, link="exp"),
        }
        return {self.name: scores}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`loss`."""
        return {self.name: ("loss",)}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` and differentiate it, batch by batch."""
        rows = np.asarray(samples)
        sizes, nats = self._sizes(rows), np.empty(len(rows))
        with undisturbed(model, gradients=True):
            for places, losses in self._losses(model, rows):
                (sum(losses) / float(sizes.sum())).backward()
                nats[places] = [float(loss.detach()) for loss in losses]
        return MetricScores.weighted(nats, sizes)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and answers, and of their tokens once they are known."""
        answers = [[one.prompt, one.response, one.ended] for one in self.answers]
        tokens = [[list(one.ids), one.start] for one in self._tokens]
        return digest("answers", answers, self.batch_size, self.chat, tokens)

    def _sizes(self, rows: IntArray) -> NDArray[np.int64]:
        """Number of tokens in the responses of these answers."""
        return np.array([len(self._tokens[row].ids) - self._tokens[row].start for row in rows])

    def _losses(self, model: Any, rows: IntArray) -> Iterator[tuple[IntArray, list[Any]]]:
        """Batch after batch, places in `rows` and the negative log-likelihood of each response as a tensor.

        A batch has answers of about one length, and its shape follows from that length and the whole file alone:
        kernels choose their summation order by shape, so an answer's loss does not depend on the others asked for.
        """
        widths = np.array([-(-len(one.ids) // _ROUNDING) * _ROUNDING for one in self._tokens])
        for width in np.unique(widths[rows]).tolist():
            size, alike = min(self.batch_size, int((widths == width).sum())), np.flatnonzero(widths[rows] == width)
            for start in range(0, len(alike), size):
                places = alike[start : start + size]
                yield places, self._batch(model, [self._tokens[row] for row in rows[places]], size, width)

    def _batch(self, model: Any, answers: Sequence[Tokens], size: int, width: int) -> list[Any]:
        import torch

        ids = torch.zeros((size, width), dtype=torch.int64)  # what stands behind an answer, no token of it attends to
        for row, one in enumerate(answers):
            ids[row, : len(one.ids)] = torch.tensor(one.ids)
        ids = ids.to(device_of(model))
        logits = logits_of(model, ids)
        pairs = [
            (row, slice(one.start - 1, len(one.ids) - 1), slice(one.start, len(one.ids)))
            for row, one in enumerate(answers)
        ]
        return [
            torch.nn.functional.cross_entropy(logits[row, before].float(), ids[row, after], reduction="sum")
            for row, before, after in pairs
        ]
