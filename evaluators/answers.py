"""How likely a language model finds given answers: the loss of the responses, given their prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._options import at_least
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from ._texts.answers import read_answers
from ._texts.sequences import Sequences
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores


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
        at_least(1, name, batch_size=batch_size)
        self.answers = read_answers(Path(file).expanduser())
        self.batch_size, self.chat = batch_size, apply_chat_template
        self._sequences = Sequences([], batch_size)

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the answers, once.

        Raises:
            InputError: no tokenizer, an answer longer than the model can attend to, or one without a response.
        """
        if tokenizer is None:
            raise InputError(f"evaluator '{self.name}' needs a tokenizer; put one beside the base model's weights")
        self._sequences = Sequences.of_answers(self.answers, model, tokenizer, self.chat, self.batch_size)

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
        sizes = self._sequences.counted(rows)
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
        sizes, nats = self._sequences.counted(rows), np.empty(len(rows))
        with undisturbed(model, gradients=True):
            for places, losses in self._losses(model, rows):
                (sum(losses) / float(sizes.sum())).backward()
                nats[places] = [float(loss.detach()) for loss in losses]
        return MetricScores.weighted(nats, sizes)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and answers, and of their tokens once they are known."""
        answers = [[one.prompt, one.response, one.ended] for one in self.answers]
        tokens = [[list(one.ids), one.start] for one in self._sequences.tokens]
        return digest("answers", answers, self.batch_size, self.chat, tokens)

    def _losses(self, model: Any, rows: IntArray) -> Iterator[tuple[IntArray, list[Any]]]:
        """Batch after batch, places in `rows` and the negative log-likelihood of each response as a tensor."""
        for places, ids in self._sequences.batches(rows, device_of(model)):
            logits = logits_of(model, ids)
            yield places, [self._loss(row, logits[place], ids[place]) for place, row in enumerate(rows[places])]

    def _loss(self, row: int, logits: Any, ids: Any) -> Any:
        import torch

        before = self._sequences.predicting(row)
        after = slice(before.start + 1, before.stop + 1)
        return torch.nn.functional.cross_entropy(logits[before].float(), ids[after], reduction="sum")
