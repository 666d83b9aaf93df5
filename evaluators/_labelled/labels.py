"""From the labels in a data set to the numbers of a model's outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, nearest


def class_numbers(what: str, labels: Sequence[Any], classes: Sequence[str], config: Any) -> NDArray[Any]:
    """Labels as the model numbers them, int64; or as they are, float64, where they are targets of a regression.

    Labels with names are numbered as a transformers model's configuration has it, whatever the case of letters, for a
    data set may well number the same classes differently. Numbers whose names the model does not know stay.

    Args:
        what: whose labels they are, for messages.
        labels: numbers or names, one per sample.
        classes: names that the numbers stand for, if known.
        config: the model's configuration, or None.

    Raises:
        InputError: a name that the model does not know, a negative number, or labels of several types.
    """
    kinds = {type(label) for label in labels}
    if kinds - {bool, int} and kinds - {int, float} and kinds - {str}:
        names = " and ".join(sorted(kind.__name__ for kind in kinds))
        raise InputError(f"{what}: labels are of type {names}; give one number or one name per sample")
    if float in kinds:
        return np.asarray(labels, dtype=np.float64)
    numbers = _known(config)
    if str in kinds:
        return _by_name(what, labels, numbers)
    if min(labels) < 0:
        raise InputError(f"{what}: label {min(labels)} is negative; take a split that has labels, numbered from 0")
    if classes and all(name.lower() in numbers for name in classes):
        return _by_name(what, [classes[label] for label in labels], numbers)
    return np.asarray(labels, dtype=np.int64)


def _known(config: Any) -> dict[str, int]:
    """Name of each class, in small letters -> its number; a configuration may lack one of its two lists."""
    names, numbers = (getattr(config, key, None) or {} for key in ("id2label", "label2id"))
    pairs = [*((name, number) for number, name in names.items()), *numbers.items()]
    return {str(name).lower(): int(number) for name, number in pairs}


def _by_name(what: str, labels: Sequence[str], numbers: dict[str, int]) -> NDArray[np.int64]:
    unknown = next((label for label in labels if label.lower() not in numbers), None)
    if unknown is not None:
        raise InputError(f"{what}: label '{unknown}' is no class of the model; {nearest(unknown.lower(), numbers)}")
    return np.array([numbers[label.lower()] for label in labels], dtype=np.int64)
