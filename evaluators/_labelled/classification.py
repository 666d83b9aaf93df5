"""What classifiers share, whatever they read: accuracy, loss, entropy, and every scikit-learn metric."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, TrialError
from ...plugins import call_user
from .._options import at_least
from .._outputs import differentiable_per_sample, logits_of, outputs_of, per_sample, probabilities, require_fitting
from .._scoring import device_of, undisturbed
from ..evaluator import IntArray, Scores
from ..statistics.bootstrap import FEW_REPLICATES
from ..statistics.scores import MetricScores
from .batched import Batched
from .sklearn import Metric, find_sklearn_metric

Array = NDArray[Any]
# Metrics with a value per sample; everything else comes from scikit-learn. Name -> whether higher is better.
_OWN = {"accuracy": True, "loss": False, "entropy": False}
_LABEL_FREE = ("entropy",)
_DIFFERENTIABLE = ("loss", "entropy")


class Classification(Batched):
    """Classification (integer labels) or regression (floating labels); subclasses have the samples.

    Metrics are `accuracy`, `loss` (cross entropy in nats; squared error for floating labels) and `entropy` (of the
    predicted classes, in nats; needs no true labels), which have a value per sample, and scikit-learn's scorers
    (`f1_macro`) and metric functions (`hamming_loss`).
    """

    def __init__(
        self, name: str, metrics: Sequence[str] | None, batch_size: int, tasks: Sequence[str], labelled: bool = True
    ) -> None:
        """Check the options.

        Raises:
            InputError: an unknown metric (names the nearest), no metrics, one that needs labels where there are none,
                or a batch size below 1.
        """
        super().__init__(name)
        if metrics is None:
            metrics = ("accuracy",) if labelled else _LABEL_FREE
        if isinstance(metrics, str) or not metrics:
            raise InputError(f"evaluator '{name}': metrics = {metrics!r}; give a list such as [accuracy, loss]")
        at_least(1, name, batch_size=batch_size)
        supervised = [metric for metric in metrics if metric not in _LABEL_FREE]
        if supervised and not labelled:
            raise InputError(f"evaluator '{name}' has no labels for {supervised[0]}; name their column, or use entropy")
        self.batch_size = batch_size
        self._labelled, self._task_names = labelled, tuple(tasks)
        self._metrics = {key: None if key in _OWN else find_sklearn_metric(key) for key in metrics}

    @abstractmethod
    def labels(self, task: str) -> Array:
        """Class numbers (int64) or targets (float64), `samples`; zeros where samples have no labels."""

    def metrics(self) -> dict[str, dict[str, bool]]:
        """Task name -> metric name -> whether higher is better."""
        directions = {key: _OWN[key] if one is None else one.higher_is_better for key, one in self._metrics.items()}
        return {task: dict(directions) for task in self._task_names}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on the samples (int64 indices per task); the model's mode is restored.

        Raises:
            InputError: the model's outputs do not fit the labels.
            TrialError: outputs that are not finite, or a metric that is undefined on these samples.
        """
        with undisturbed(model):
            return {task: self._score(model, task, np.asarray(rows)) for task, rows in samples.items()}

    def differentiable(self) -> dict[str, Sequence[str]]:
        """`loss` where there are labels, and `entropy` where they are classes."""
        return {task: self._losses(task) for task in self._task_names}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score `loss` or `entropy` and differentiate its mean, batch by batch.

        Raises:
            InputError: the model's outputs do not fit the labels.
            TrialError: outputs that are not finite.
        """
        labels, found, network = self.labels(task)[samples], np.empty(len(samples)), self.network(model)
        with undisturbed(model, gradients=True):
            for places, inputs in self.batches(task, samples, device_of(model)):
                outputs = logits_of(network, inputs)[: len(places)]
                require_fitting(task, outputs.detach().cpu().double().numpy(), labels[places])
                each = differentiable_per_sample(metric, outputs, labels[places])
                (each.sum() / len(samples)).backward()
                found[places] = each.detach().cpu().numpy()
        return MetricScores.mean(found)

    def check_metrics(self, task: str) -> None:
        """Try each metric on perfect outputs.

        Raises:
            InputError: a metric does not suit the labels.
        """
        labels = self.labels(task)
        if labels.dtype.kind == "f" and "entropy" in self._metrics:
            raise InputError(f"task '{task}' has floating labels, and so no entropy; remove that metric")
        perfect = labels if labels.dtype.kind == "f" else np.eye(max(int(labels.max()) + 1, 2))[labels]
        for key, metric in self._metrics.items():
            try:
                if metric is not None:
                    metric.function(labels, perfect)
            except ValueError as error:
                raise InputError(f"metric '{key}' does not suit task '{task}': {error}") from error

    def check_model(self, model: Any, task: str) -> None:
        """Try one batch and all labels, before the first candidate fails at it.

        Raises:
            InputError: the model cannot read the samples, or gives too few outputs for their labels.
        """
        labels = self.labels(task)
        with undisturbed(model):
            _, inputs = next(self.batches(task, np.arange(len(labels)), device_of(model)))
            batches = [(np.arange(1), inputs)]
            output = call_user(f"task '{task}': the model", outputs_of, model=self.network(model), batches=batches)
        require_fitting(task, np.nan_to_num(output).repeat(len(labels), axis=0), labels)

    def _losses(self, task: str) -> Sequence[str]:
        if not self._labelled:
            return _LABEL_FREE
        return _DIFFERENTIABLE[:1] if self.labels(task).dtype.kind == "f" else _DIFFERENTIABLE

    def _score(self, model: Any, task: str, rows: IntArray) -> dict[str, MetricScores]:
        labels = self.labels(task)[rows]
        batches = self.batches(task, rows, device_of(model))
        outputs = require_fitting(task, outputs_of(self.network(model), batches), labels)
        own, shown = per_sample(outputs, labels), probabilities(outputs)
        scores = {}
        for key, metric in self._metrics.items():
            try:
                scores[key] = MetricScores.mean(own[key]) if metric is None else _whole(metric, labels, shown)
            except ValueError as error:
                raise TrialError(f"{task}/{key} is undefined on these {len(rows)} samples: {error}") from error
        return scores


def _whole(metric: Metric, labels: Array, outputs: Array) -> MetricScores:
    if metric.decides and labels.dtype.kind == "i":
        return MetricScores.decisions(labels, outputs, metric.function, FEW_REPLICATES)
    rows = np.arange(len(labels))
    return MetricScores.aggregate(rows, lambda some: metric.function(labels[some], outputs[some]), FEW_REPLICATES)
