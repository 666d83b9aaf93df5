"""Agreement with the member that owns a task: a screen that needs no labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._labelled.batched import Batched
from ._labelled.predictions import Predictions
from ._options import at_least
from ._outputs import logits_of
from ._scoring import device_of, undisturbed
from .build import build_evaluators
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores


class AgreementEvaluator(Evaluator):
    """How much of what one member predicts a candidate predicts as well, on samples of another evaluator's.

    A classifier predicts a class of each sample, a language model the next token at each place of a window. The
    member's predictions are kept in host memory: `12 · top` bytes for each. Differentiable: `kl`.
    """

    def __init__(self, name: str, member: str, on: Mapping[str, Any], top: int = 64) -> None:
        """Build the evaluator that has the samples.

        Args:
            name: the evaluator's name, and its task's unless the other one names tasks.
            member: whose predictions are the measure; or `base`.
            on: kind and options of an evaluator of single predictions, such as `{kind: perplexity, file: math.txt}`
                or `{kind: text_classification, dataset: reviews.jsonl, label: null}`. It gives no scores.
            top: number of classes whose probabilities are kept, the member's likeliest; `kl` counts all others as one.

        Raises:
            InputError: options of `on` cannot be used, its kind makes no single predictions, or `top` is below 1.
        """
        super().__init__(name)
        at_least(1, name, top=top)
        inner = build_evaluators({name: on}).evaluators[0]
        if not isinstance(inner, Batched):
            raise InputError(
                f"evaluator '{name}': kind '{on['kind']}' makes no single predictions to agree on; "
                "use dataloader, image_classification, perplexity or text_classification"
            )
        self.member, self.on, self.top = member, inner, top
        self._observed: dict[str, Predictions] = {}

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Prepare the samples.

        Raises:
            InputError: from the other evaluator.
        """
        self.on.prepare(model, tokenizer)

    def tasks(self) -> Mapping[str, int]:
        """Those of the other evaluator."""
        return self.on.tasks()

    def metrics(self) -> dict[str, dict[str, bool]]:
        """`agreement`, the share of equal predictions, and `kl`, KL(member ‖ candidate) in nats per prediction."""
        return {task: {"agreement": True, "kl": False} for task in self.on.metrics()}

    def references(self) -> Sequence[str]:
        """The member."""
        return (self.member,)

    def observe(self, reference: str, model: Any) -> None:
        """Keep what the member, whose weights `model` shows, predicts for all samples.

        Raises:
            InputError: its outputs are not finite, or no predictions of classes.
        """
        with undisturbed(model):
            for task, count in self.tasks().items():
                what = f"task '{task}': '{reference}'"
                self._observed[task] = Predictions.of(what, self._logits(model, task, np.arange(count)), self.top)

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on the samples (int64 indices per task).

        Raises:
            InputError: the member was not observed.
        """
        with undisturbed(model):
            return {task: self._score(model, task, np.asarray(rows)) for task, rows in samples.items()}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`kl`."""
        return {task: ("kl",) for task in self.on.metrics()}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `kl` and differentiate its mean, batch by batch."""
        own, found = self._of(task), np.empty(len(samples))
        with undisturbed(model, gradients=True):
            for places, logits in self._logits(model, task, samples):
                each = own.divergence(samples[places], logits)
                (each.sum() / len(samples)).backward()
                found[places] = each.detach().cpu().numpy()
        return MetricScores.mean(found)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of member, options and samples."""
        return digest("agreement", self.member, self.top, self.on.fingerprint())

    def _score(self, model: Any, task: str, rows: IntArray) -> dict[str, MetricScores]:
        own, found = self._of(task), np.empty((2, len(rows)))
        for places, logits in self._logits(model, task, rows):
            found[0, places] = own.agreement(rows[places], logits).cpu().numpy()
            found[1, places] = own.divergence(rows[places], logits).cpu().numpy()
        return {name: MetricScores.mean(values) for name, values in zip(("agreement", "kl"), found, strict=True)}

    def _logits(self, model: Any, task: str, rows: IntArray) -> Iterator[tuple[IntArray, Any]]:
        """Places in `rows`, and the logits there."""
        network = self.on.network(model)
        for places, inputs in self.on.batches(task, rows, device_of(model)):
            yield places, logits_of(network, inputs)[: len(places)]

    def _of(self, task: str) -> Predictions:
        if task not in self._observed:
            raise InputError(f"task '{task}' compares with '{self.member}', which was not observed; call observe first")
        return self._observed[task]
