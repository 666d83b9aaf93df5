"""The order in which samples are visited: the telling ones first, and others among them as a guard."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .strata import FloatArray, IntArray, Strata


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
    turns = _turns(strata, np.random.default_rng(seed))
    ranked = np.lexsort((strata.numbers, turns))  # equal turns go by stratum
    alike = strata.agreed[strata.numbers[ranked]]
    return _merged(ranked[alike], ranked[~alike], agreement)


def _turns(strata: Strata, rng: np.random.Generator) -> FloatArray:
    """When each sample's turn comes among those of its kind, `samples`: a random rank within its stratum.

    Ranks are divided by the stratum's size, so that the larger one gets the more turns.
    """
    turns = np.empty(len(strata.numbers))
    for number, size in enumerate(strata.sizes):
        turns[strata.numbers == number] = rng.permutation(size) / size
    return turns


def _merged(alike: IntArray, unlike: IntArray, agreement: float) -> IntArray:
    """Both queues in one, `agreement` of every prefix from the first one, rounded."""
    # The i-th of a queue that supplies a share s of the prefix comes at position (i + 1/2) / s.
    shares = (alike, agreement), (unlike, 1.0 - agreement)
    places = [(np.arange(len(queue)) + 0.5) / max(share, 1e-9) for queue, share in shares]
    return np.concatenate([alike, unlike])[np.argsort(np.concatenate(places), kind="stable")].astype(np.int64)
