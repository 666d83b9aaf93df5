"""The bootstrap: values that a metric takes on resamples, by which its error is known where it is no mean."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
REPLICATES = 256
FEW_REPLICATES = 64  # for metrics that take a millisecond or more; the error is then known to 9 % instead of 4 %
_SEED = 20240229
_STRANGERS = 1.0  # answers that nobody gave, beside those of all samples


def resamples(count: int, replicates: int = REPLICATES) -> Iterator[IntArray]:
    """Bootstrap indices: `replicates` arrays of `count` draws below `count`, int64, the same for every caller.

    A smaller number of replicates is the beginning of a larger one.
    """
    generator = np.random.default_rng([_SEED, count])
    for _ in range(replicates):
        yield generator.integers(count, size=count)


def crossed_resamples(
    labels: Sequence[Any] | NDArray[Any], replicates: int = REPLICATES
) -> Iterator[tuple[IntArray, IntArray]]:
    """Bootstrap indices of labels and of answers: `resamples`, but for one draw on average that is a stranger.

    A stranger has the label of one sample and the answer to another, both of classes drawn evenly. Where a class has
    a few samples, which were all answered well (or all badly), others would not be, and no resample of them tells.
    It is what the halves are that Jeffreys' interval adds to successes and failures, or to each cell of a confusion
    matrix (Dirichlet prior; Goutte and Gaussier 2005, A probabilistic interpretation of precision, recall and F-score).

    Args:
        labels: class of each sample, of any type that can be sorted.
        replicates: number of pairs of arrays; both of a pair `samples`, int64, and the same for equal labels.
    """
    count = len(labels)
    _, classes, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    chances = 1.0 / (len(sizes) * sizes[classes])
    generator = np.random.default_rng([_SEED, count, 1])
    for row in resamples(count, replicates):
        strange = generator.random(count) < _STRANGERS / (count + _STRANGERS)
        pairs = generator.choice(count, (2, int(strange.sum())), p=chances)
        labelled, answered = row.copy(), row.copy()
        labelled[strange], answered[strange] = pairs
        yield labelled, answered


def replicated(function: Callable[..., float], drawn: Iterable[tuple[Any, ...]]) -> FloatArray:
    """Values of a function of resamples; NaN where it raises ValueError or an ArithmeticError, or is not finite."""
    return np.array([_or_nan(function, arguments) for arguments in drawn], dtype=np.float64)


def take(items: Sequence[Any] | NDArray[Any], row: IntArray) -> Any:
    """The items at these places: an array of an array, else a list."""
    return items[row] if isinstance(items, np.ndarray) else [items[i] for i in row]


def told_by(count: int, replicates: FloatArray) -> FloatArray:
    """The replicates, or NaN in their place for a single sample: its resamples are all alike and tell nothing."""
    return replicates if count > 1 else np.full_like(replicates, math.nan)


def _or_nan(function: Callable[..., float], arguments: tuple[Any, ...]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # libraries warn of undefined metrics, once per resample
        try:
            value = float(function(*arguments))
        except (ValueError, ArithmeticError):
            return math.nan
    return value if math.isfinite(value) else math.nan
