"""Strata of samples: those that the members get right and wrong alike belong together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_MOST = 6  # strata of a kind: more would leave some without samples in a first look


@dataclass(frozen=True)
class Strata:
    """A partition of the samples of one task.

    Attributes:
        numbers: stratum of each sample, int64, `samples`, from 0 without gaps.
        agreed: whether all references are alike on the samples of a stratum, `strata`.
    """

    numbers: IntArray
    agreed: BoolArray

    @property
    def sizes(self) -> IntArray:
        """Number of samples of each stratum, int64, `strata`; none is 0."""
        return np.bincount(self.numbers, minlength=len(self.agreed)).astype(np.int64)


def strata_of(scores: FloatArray, least: int = 8) -> Strata:
    """Strata by the pattern of references that get a sample right.

    Where the references have two different scores only (0 and 1, say), the larger one counts as right; else what lies
    above the median of all. The largest patterns make a stratum each, and others join the nearest of them. Where
    there are more patterns than the samples could fill, the number of references that get a sample right counts.

    Args:
        scores: of the references on all samples, float64, `references x samples`; there may be no references, which
            makes one stratum.
        least: number of samples that a stratum needs; where no pattern of a kind (agreed, or not) has so many, they
            make one stratum together.
    """
    right = _right(scores).astype(np.int64)
    marks = right if least * 2 ** len(right) <= right.shape[1] else right.sum(axis=0, keepdims=True)
    agreed = (right == right[:1]).all(axis=0)
    numbers = np.zeros(right.shape[1], dtype=np.int64)
    kinds: list[bool] = []
    for alike in (True, False):
        places = np.flatnonzero(agreed == alike)
        if len(places):
            joined = _joined(marks[:, places], least)
            numbers[places] = joined + len(kinds)
            kinds += [alike] * int(joined.max() + 1)
    return Strata(numbers, np.array(kinds, dtype=np.bool_))


def _right(scores: FloatArray) -> BoolArray:
    """Which references get which samples right, `references x samples`."""
    values = np.unique(scores)
    threshold = values.mean() if 0 < len(values) <= 2 else np.median(scores) if scores.size else 0.0
    return np.asarray(scores > threshold, dtype=np.bool_)


def _joined(marks: IntArray, least: int) -> IntArray:
    """Stratum of each sample, `samples`, from 0: the nearest pattern of those that many samples have."""
    patterns, numbers, sizes = np.unique(marks, axis=1, return_inverse=True, return_counts=True)
    largest = np.argsort(-sizes, kind="stable")[:_MOST]
    centres = patterns[:, np.sort(largest[sizes[largest] >= least] if sizes.max() >= least else largest[:1])]
    distances = np.abs(patterns[:, :, None] - centres[:, None, :]).sum(axis=0)
    return np.asarray(distances.argmin(axis=1)[numbers.reshape(-1)], dtype=np.int64)
