"""A map-style dataset read once into stacked tensors, from which batches of one fixed shape are cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...plugins import call_user, load_object
from .._digest import digest
from .._scoring import undisturbed

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """All samples of one task.

    Attributes:
        inputs: a tensor `samples x ...`, or a mapping or list of such tensors.
        labels: class numbers (int64) or targets (float64), `samples`.
    """

    inputs: Any
    labels: NDArray[Any]

    def batches(self, rows: IntArray, size: int, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut the inputs of `rows` into batches on `device`: (places in `rows` that come first in it, inputs).

        All batches have the same number of rows, the last one filled up by repeating its last row: kernels choose
        their summation order by shape, and so a sample's score does not depend on which others are asked for, but
        for the last bit in layers of odd width, whose rows are aligned differently.
        """
        size = min(size, len(self.labels))
        for start in range(0, len(rows), size):
            some = rows[start : start + size]
            places = np.arange(start, start + len(some))
            yield places, _select(self.inputs, np.pad(some, (0, size - len(some)), mode="edge"), device)

    def fingerprint(self) -> str:
        """Hash of the content of all samples."""
        return digest(self.inputs, self.labels)


def read_table(task: str, reference: str, arguments: Mapping[str, Any]) -> Table:
    """Call the function at `reference` and read the dataset that it returns into memory.

    Raises:
        InputError: no such function, or its dataset is not map-style, is empty, or does not stack; names the task.
    """
    from torch.utils.data import default_collate

    with undisturbed():  # a dataset that draws random numbers is the same one in every process
        dataset = call_user(f"task '{task}': {reference}", load_object(reference), **arguments)
        if not (hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__")) or len(dataset) == 0:
            raise InputError(f"task '{task}': {reference} returned {dataset!r}, not a map-style dataset with samples")
        items = [dataset[index] for index in range(len(dataset))]
    if not (isinstance(items[0], tuple | list) and len(items[0]) == 2):
        raise InputError(f"task '{task}': a sample of {reference} is {type(items[0]).__name__}, not (input, label)")
    try:
        inputs, labels = default_collate(items)
    except (RuntimeError, TypeError) as error:
        raise InputError(f"task '{task}': samples of {reference} do not stack ({error}); pad them alike") from error
    return Table(inputs, _checked_labels(task, labels))


def _checked_labels(task: str, labels: Any) -> NDArray[Any]:
    if getattr(labels, "ndim", 0) != 1:
        shape = tuple(getattr(labels, "shape", ()))
        raise InputError(f"task '{task}': labels stack to shape {shape}; return one number per sample")
    values = np.asarray(labels.numpy())
    if values.dtype.kind == "f":
        return values.astype(np.float64)
    if values.min() < 0:
        raise InputError(f"task '{task}': label {values.min()} is negative; number the classes from 0")
    return values.astype(np.int64)


def _select(value: Any, rows: IntArray, device: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return value[torch.from_numpy(rows)].to(device)
    if isinstance(value, Mapping):
        return {key: _select(one, rows, device) for key, one in value.items()}
    if isinstance(value[0], torch.Tensor | Mapping | list):
        return [_select(one, rows, device) for one in value]
    return [value[row] for row in rows]  # strings and other things that do not stack
