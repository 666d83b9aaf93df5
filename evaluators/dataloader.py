"""Any PyTorch model over datasets of (input, label): accuracy, loss, and every scikit-learn metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._digest import digest
from ._labelled.classification import Array, Classification
from ._labelled.dataset import Table, read_table
from .evaluator import IntArray


class DataLoaderEvaluator(Classification):
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
        self._arguments = {task: {**(arguments or {}), **own} for task, own in (tasks or {name: {}}).items()}
        super().__init__(name, metrics, batch_size, list(self._arguments))
        self.dataset = dataset
        self._tables: dict[str, Table] = {}

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Read all datasets, check each metric on perfect outputs for them, and try the model on one batch.

        Raises:
            InputError: a dataset cannot be used, a metric does not suit its labels, or the model does not.
        """
        for task in self._arguments:
            self.check_metrics(task)
            if model is not None:
                self.check_model(model, task)

    def tasks(self) -> dict[str, int]:
        """Task name -> number of samples; reads the datasets."""
        return {task: len(self._table(task).labels) for task in self._arguments}

    def labels(self, task: str) -> Array:
        """Class numbers (int64) or targets (float64), `samples`; reads the dataset."""
        return self._table(task).labels

    def batches(self, task: str, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut samples into batches of one shape: (places in `rows` that come first in it, inputs)."""
        return self._table(task).batches(rows, self.batch_size, device)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the metrics, the batch size, the content of the datasets, and the library's version."""
        import sklearn

        content = {task: self._table(task).fingerprint() for task in self._arguments}
        return digest("dataloader", list(self._metrics), self.batch_size, content, sklearn.__version__)

    def _table(self, task: str) -> Table:
        if task not in self._tables:
            self._tables[task] = read_table(task, self.dataset, self._arguments[task])
        return self._tables[task]
