"""Image classification: an image classifier of transformers over labelled images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..plugins import call_user
from ._digest import digest
from ._labelled.classification import Array, Classification
from ._labelled.columns import Where, read_columns
from ._labelled.dataset import Table
from ._labelled.head import Head
from ._labelled.labels import class_numbers
from ._scoring import undisturbed
from .evaluator import IntArray


class ImageClassificationEvaluator(Classification):
    """Any `AutoModelForImageClassification`; a sample is an image, and the task is called like the evaluator.

    Images are preprocessed once, by the image processor beside the base model's weights, and held in host memory in
    the model's dtype. Differentiable: `loss`, and `entropy`, which needs no labels.
    """

    def __init__(
        self,
        name: str,
        dataset: Where,
        image: str = "image",
        label: str | None = "label",
        metrics: Sequence[str] | None = None,
        batch_size: int = 32,
        processor: str | None = None,
        head: str | None = None,
    ) -> None:
        """Read the data.

        Args:
            name: the evaluator's name, and its task's.
            dataset: path of a folder `class/file` of images, a data set's name on the Hugging Face hub, or the
                arguments of `datasets.load_dataset`, such as `{path: cifar10, split: "test[:2000]"}`.
            image: name of the column of images, or of paths.
            label: name of the column of labels: numbers, or names of the model's classes; None for images without.
            metrics: `accuracy`, `loss` (nats), `entropy`, and scikit-learn's (`f1_macro`); accuracy where left out, or
                entropy where there are no labels.
            batch_size: images per forward pass.
            processor: path or hub name of an image processor; the base model's folder where left out.
            head: path or hub name of a classifier, such as a member, whose head is set on the candidate's body; the
                live model's own head where left out.

        Raises:
            InputError: the data cannot be read, or an option is out of range.
        """
        super().__init__(name, metrics, batch_size, [name], labelled=label is not None)
        found = read_columns(f"evaluator '{name}'", dataset, [image, *([] if label is None else [label])])
        self.images = call_user(f"evaluator '{name}': opening images", _opened, images=found.values[image])
        self.processor, self.head = processor, head
        self._head: Head | None = None
        self._raw = [0] * len(self.images) if label is None else list(found.values[label])
        self._classes = found.classes.get(label or "", ())
        self._table: Table | None = None
        self._settings: Mapping[str, Any] = {}

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Preprocess the images, number the labels as the model does, and try the model on one batch.

        Raises:
            InputError: no image processor, a label that the model does not know, or a model that is no such classifier.
        """
        what = f"evaluator '{self.name}'"
        if self.head:
            self._head = Head(what, "AutoModelForImageClassification", self.head, model)
        config = getattr(self._head or model, "config", None)
        where = self.processor or getattr(model, "name_or_path", "")
        if not where:
            raise InputError(f"{what} finds no image processor beside the base model; give its path as 'processor'")
        mode = "L" if getattr(config, "num_channels", 3) == 1 else "RGB"
        images = [image.convert(mode) for image in self.images]
        with undisturbed():
            processor = call_user(f"{what}: loading the image processor of '{where}'", _processor, path=where)
            pixels = call_user(f"{what}: preprocessing", _pixels, processor=processor, images=images)
        numbers = class_numbers(what, self._raw, self._classes, config)
        self._table = Table({"pixel_values": pixels.to(getattr(model, "dtype", pixels.dtype))}, numbers)
        self._settings = {"class": type(processor).__name__, **processor.to_dict()}
        self.check_metrics(self.name)
        self.check_model(model, self.name)

    def network(self, model: Any) -> Any:
        """The live model, or the head of its own on the body of that."""
        return self._head.on(model) if self._head else model

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of images."""
        return {self.name: len(self.images)}

    def labels(self, task: str) -> Array:
        """Class numbers (int64) or targets (float64), `samples`; known from `prepare` on."""
        return self._prepared().labels

    def batches(self, task: str, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut images into batches of one shape: (places in `rows` that come first in it, inputs)."""
        return self._prepared().batches(np.asarray(rows), self.batch_size, device)

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of options and data, and of the processor's settings once they are known."""
        import sklearn

        options = [list(self._metrics), self.batch_size, self.processor, self._labelled, sklearn.__version__]
        labels = [self._raw, list(self._classes), self._table and self._table.labels]
        head = self._head.fingerprint if self._head else self.head
        return digest("image_classification", options, self.images, labels, head, self._settings)

    def _prepared(self) -> Table:
        if self._table is None:
            raise InputError(f"evaluator '{self.name}' preprocesses images for a model; call prepare with it first")
        return self._table


def _opened(images: Sequence[Any]) -> list[Any]:
    """Decoded images, from paths or as they are."""
    from PIL import Image

    opened = [Image.open(image) if isinstance(image, str | Path) else image for image in images]
    return [image.convert("RGB") for image in opened]


def _processor(path: str) -> Any:
    from transformers import AutoImageProcessor

    return AutoImageProcessor.from_pretrained(path)


def _pixels(processor: Any, images: Sequence[Any]) -> Any:
    """Pixel values, float32, `images x channels x height x width`."""
    return processor(images=images, return_tensors="pt")["pixel_values"]
