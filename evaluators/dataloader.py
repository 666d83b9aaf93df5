"""Any PyTorch model over datasets of (input, label): accuracy, loss, and every scikit-learn metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, TrialError
from ._dataset import Table, read_table
from ._digest import digest
from ._outputs import differentiable_per_sample, logits_of, outputs_of, per_sample, probabilities, require_fitting
from ._scoring import device_of, undisturbed
from ._sklearn import Metric, find_sklearn_metric
from .evaluator import Evaluator, IntArray, Scores
from .scores import FEW_REPLICATES, MetricScores

Array = NDArray[Any]
# Metrics with a value per sample; everything else comes from scikit-learn. Name -> whether higher is better.
_OWN = {"accuracy": True, "loss": False, "entropy": False}
_DIFFERENTIABLE = ("loss", "entropy")


class DataLoaderEvaluator(Evaluator):
    """Classification (integer labels) or regression (floating labels) by any torch.nn.Module.

    All samples are read into host memory once. The model is called with a batch of inputs (keyword arguments if the
    input is a mapping, positional ones if a tuple) and returns outputs `batch x classes` (`batch` or `batch x 1` for
    a regression), or an object with such `.logits`.
    """

    def __init__(
        self,
        name: str,
        dataset: str,
        metrics: Sequence[str] = ("accuracy",),
        arguments: Mapping[str, Any] | None = None,
        tasks: Mapping[str, Mapping[str, Any]] | None = None,
        batch_size: int = 64,
    ) -> None:
        """Check the options; data are read when first needed.

        Args:
            name: the evaluator's name, and the task's unless `tasks` is given.
            dataset: `module:function` or `path.py:function` that returns a map-style dataset of (input, label).
            metrics: `accuracy`, `loss` (cross entropy in nats; squared error for floating labels) and `entropy` (of
                the predicted classes, in nats; needs no true labels), which have a value per sample, and
                scikit-learn's scorers (`f1_macro`) and metric functions (`hamming_loss`).
            arguments: keyword arguments for the function.
            tasks: task name -> further arguments, for several tasks from one function.
            batch_size: samples per forward pass.

        Raises:
            InputError: an unknown metric (names the nearest), no metrics, or a batch size below 1.
        """
        super().__init__(name)
        if isinstance(metrics, str) or not metrics:
            raise InputError(f"evaluator '{name}': metrics = {metrics!r}; give a list such as [accuracy, loss]")
        if batch_size < 1:
            raise InputError(f"evaluator '{name}': batch_size = {batch_size}; give 1 or more")
        self.dataset, self.batch_size = dataset, batch_size
        self._metrics = {key: None if key in _OWN else find_sklearn_metric(key) for key in metrics}
        self._arguments = {task: {**(arguments or {}), **own} for task, own in (tasks or {name: {}}).items()}
        self._tables: dict[str, Table] = {}

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Read all datasets, and check each metric on perfect outputs for them.

        Raises:
            InputError: a dataset cannot be used, or a metric does not suit its labels.
        """
        for task, table in self._read().items():
            labels = table.labels
            if labels.dtype.kind == "f" and "entropy" in self._metrics:
                raise InputError(f"task '{task}' has floating labels, and so no entropy; remove that metric")
            perfect = labels if labels.dtype.kind == "f" else np.eye(max(int(labels.max()) + 1, 2))[labels]
            for key, metric in self._metrics.items():
                try:
                    if metric is not None:
                        metric.function(labels, perfect)
                except ValueError as error:
                    raise InputError(f"metric '{key}' does not suit task '{task}': {error}") from error

    def tasks(self) -> dict[str, int]:
        """Task name -> number of samples; reads the datasets."""
        return {task: len(table.labels) for task, table in self._read().items()}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """Task name -> metric name -> whether higher is better."""
        directions = {key: _OWN[key] if one is None else one.higher_is_better for key, one in self._metrics.items()}
        return {task: dict(directions) for task in self._arguments}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on the samples (int64 indices per task); the model's mode is restored.

        Raises:
            InputError: the model's outputs do not fit the labels.
            TrialError: outputs that are not finite, or a metric that is undefined on these samples.
        """
        with undisturbed(model):
            return {task: self._score(model, task, np.asarray(rows)) for task, rows in samples.items()}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`loss`, and `entropy` where labels are classes; reads the datasets."""
        return {
            task: _DIFFERENTIABLE[:1] if table.labels.dtype.kind == "f" else _DIFFERENTIABLE
            for task, table in self._read().items()
        }

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` or `entropy` and differentiate its mean, batch by batch.

        Raises:
            InputError: the model's outputs do not fit the labels.
            TrialError: outputs that are not finite.
        """
        table, start = self._read()[task], 0
        found = []
        with undisturbed(model, gradients=True):
            for count, inputs in table.batches(samples, self.batch_size, device_of(model)):
                outputs, labels = logits_of(model, inputs)[:count], table.labels[samples[start : start + count]]
                require_fitting(task, outputs.detach().cpu().double().numpy(), labels)
                each = differentiable_per_sample(metric, outputs, labels)
                (each.sum() / len(samples)).backward()
                found.append(each.detach().cpu().numpy())
                start += count
        return MetricScores.mean(np.concatenate(found))

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the metrics, the batch size, the content of the datasets, and the library's version."""
        import sklearn

        content = {task: table.fingerprint() for task, table in self._read().items()}
        return digest("dataloader", list(self._metrics), self.batch_size, content, sklearn.__version__)

    def _read(self) -> dict[str, Table]:
        for task, arguments in self._arguments.items():
            if task not in self._tables:
                self._tables[task] = read_table(task, self.dataset, arguments)
        return self._tables

    def _score(self, model: Any, task: str, rows: IntArray) -> dict[str, MetricScores]:
        table = self._read()[task]
        labels = table.labels[rows]
        batches = table.batches(rows, self.batch_size, device_of(model))
        outputs = require_fitting(task, outputs_of(model, batches), labels)
        own, shown = per_sample(outputs, labels), probabilities(outputs)
        scores = {}
        for key, metric in self._metrics.items():
            try:
                scores[key] = MetricScores.mean(own[key]) if metric is None else _whole(metric, labels, shown)
            except ValueError as error:
                raise TrialError(f"{task}/{key} is undefined on these {len(rows)} samples: {error}") from error
        return scores


def _whole(metric: Metric, labels: Array, outputs: Array) -> MetricScores:
    rows = np.arange(len(labels))
    return MetricScores.aggregate(rows, lambda some: metric.function(labels[some], outputs[some]), FEW_REPLICATES)
