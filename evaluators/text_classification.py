"""Text classification: a sequence classifier of transformers over labelled texts, or pairs of texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ._digest import digest
from ._labelled.classification import Array, Classification
from ._labelled.columns import Where, read_columns
from ._labelled.head import Head
from ._labelled.labels import class_numbers
from ._options import at_least
from ._scoring import undisturbed
from ._texts.tokenised import Texts, tokenise
from .evaluator import IntArray


class TextClassificationEvaluator(Classification):
    """Any `AutoModelForSequenceClassification`; a sample is a text, and the task is called like the evaluator.

    Differentiable: `loss`, and `entropy`, which needs no labels.
    """

    def __init__(
        self,
        name: str,
        dataset: Where,
        text: str | Sequence[str] = "text",
        label: str | None = "label",
        metrics: Sequence[str] | None = None,
        batch_size: int = 16,
        max_length: int | None = None,
        head: str | None = None,
    ) -> None:
        """Read the data.

        Args:
            name: the evaluator's name, and its task's.
            dataset: path of a .jsonl, .csv, .tsv or .parquet file, a data set's name on the Hugging Face hub, or the
                arguments of `datasets.load_dataset`, such as `{path: glue, name: sst2, split: validation}`.
            text: name of the column of texts; a list of two for pairs.
            label: name of the column of labels: numbers, or names of the model's classes; None for texts without.
            metrics: `accuracy`, `loss` (nats), `entropy`, and scikit-learn's (`f1_macro`); accuracy where left out, or
                entropy where there are no labels.
            batch_size: texts per forward pass.
            max_length: most tokens of a text, which is cut there; as many as the model reads where left out.
            head: path or hub name of a classifier, such as a member, whose head is set on the candidate's body; the
                live model's own head where left out.

        Raises:
            InputError: the data cannot be read, or an option is out of range.
        """
        super().__init__(name, metrics, batch_size, [name], labelled=label is not None)
        at_least(1, name, max_length=max_length)
        columns = [text] if isinstance(text, str) else list(text)
        if len(columns) not in (1, 2):
            raise InputError(f"evaluator '{name}': text = {columns}; name one column, or the two of a pair")
        found = read_columns(f"evaluator '{name}'", dataset, [*columns, *([] if label is None else [label])])
        self.texts = [[str(value) for value in found.values[column]] for column in columns]
        self.max_length, self.head = max_length, head
        self._raw = [0] * len(self.texts[0]) if label is None else list(found.values[label])
        self._classes = found.classes.get(label or "", ())
        self._numbers: Array | None = None
        self._tokens = Texts(())
        self._head: Head | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the texts, number the labels as the model does, and try the model on one batch.

        Raises:
            InputError: no tokenizer, a label that the model does not know, or a model that is no such classifier.
        """
        what = f"evaluator '{self.name}'"
        if self.head:
            self._head = Head(what, "AutoModelForSequenceClassification", self.head, model)
        config = getattr(self._head or model, "config", None)
        self._numbers = class_numbers(what, self._raw, self._classes, config)
        self.check_metrics(self.name)
        with undisturbed():
            self._tokens = tokenise(what, model, tokenizer, self.texts, self.max_length)
        self.check_model(model, self.name)

    def network(self, model: Any) -> Any:
        """The live model, or the head of its own on the body of that."""
        return self._head.on(model) if self._head else model

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of texts."""
        return {self.name: len(self._raw)}

    def labels(self, task: str) -> Array:
        """Class numbers (int64) or targets (float64), `samples`; known from `prepare` on."""
        if self._numbers is None:
            raise InputError(f"evaluator '{self.name}' numbers labels as the model does; call prepare with it first")
        return self._numbers

    def batches(self, task: str, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut texts into batches of about one length: (places in `rows` that come first in it, inputs)."""
        return self._tokens.batches(np.asarray(rows), self.batch_size, device)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of options and data, and of tokens and class numbers once they are known."""
        import sklearn

        options = [list(self._metrics), self.batch_size, self.max_length, self._labelled, sklearn.__version__]
        labels = [self._raw, list(self._classes), self._numbers, self._head.fingerprint if self._head else self.head]
        return digest("text_classification", options, self.texts, labels, self._tokens.content)
