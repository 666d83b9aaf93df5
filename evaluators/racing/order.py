"""The order in which samples are visited: the telling ones first, and others among them as a guard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .strata import BoolArray, FloatArray, IntArray, Strata


def visiting_order(strata: Strata, agreement: float, seed: Sequence[int]) -> IntArray:
    """A permutation of the samples, of which every prefix is a stratified random sample.

    Samples on which the references disagree come first, but for a share of every prefix as long as both kinds last:
    where no reference fails, a broken candidate still may. Within each kind, prefixes hold every stratum in proportion
    to its size, and one sample of each before the second of any.

    Args:
        strata: of the task.
        agreement: share of every prefix from strata on which the references agree, from 0 to 1.
        seed: of the order within the strata, as `numpy.random.default_rng` takes it.

    Returns:
        Positions, int64, `samples`; how many of a prefix are of which stratum does not depend on the seed.
    """
    rng = np.random.default_rng(seed)
    keys = _keys(strata, rng)
    alike = strata.agreed[strata.numbers]
    queues = [np.flatnonzero(mask)[np.argsort(keys[mask], kind="stable")] for mask in (alike, ~alike)]
    return _merged(queues[0], queues[1], agreement)


def _keys(strata: Strata, rng: np.random.Generator) -> FloatArray:
    """When each sample's turn comes among those of its kind, `samples`: its rank within its stratum over their number.

    Ranks are random; equal turns go by stratum.
    """
    keys = np.empty(len(strata.numbers))
    for number, size in enumerate(strata.sizes):
        keys[strata.numbers == number] = rng.permutation(size) / size
    return keys


def _merged(alike: IntArray, unlike: IntArray, agreement: float) -> IntArray:
    """Both queues in one, `agreement` of every prefix from the first one, rounded."""
    # The i-th of a queue that supplies a share s of the prefix comes at position (i + 1/2) / s.
    with np.errstate(divide="ignore"):
        turns = [
            (np.arange(len(queue)) + 0.5) / np.float64(share)
            for queue, share in ((alike, agreement), (unlike, 1.0 - agreement))
        ]
    return np.concatenate([alike, unlike])[np.argsort(np.concatenate(turns), kind="stable")].astype(np.int64)
