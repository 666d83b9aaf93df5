"""Which samples the search may see, which are fresh to its elite, and which are held out for the verdict."""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError

IntArray = NDArray[np.int64]


class Split(NamedTuple):
    """Indices of one task's samples, ascending, int64; no two parts share any."""

    search: IntArray
    held_out: IntArray
    fresh: IntArray


def split_samples(
    count: int, held_out: float, seed: int, task_name: str, limit: int | None = None, fresh: float = 0.0
) -> Split:
    """Split the samples of one task, at random but always the same. Fresh ones are taken from the search's.

    Args:
        count: number of samples of the task.
        held_out: fraction in [0, 1) to hold out; where it is above 0, each part gets at least one sample.
        seed: the run's seed, not negative; every task derives its own from it and from `task_name`.
        task_name: the task, so that tasks of equal size are not split alike.
        limit: use only this many samples of the task, all parts together. A larger limit adds samples.
        fresh: fraction in [0, 1) to keep fresh, as with `held_out`; together they leave some to the search.

    Raises:
        InputError: a fraction, seed or limit out of range, or fewer samples than parts.
    """
    for name, fraction in (("held_out", held_out), ("fresh", fresh)):
        if not 0 <= fraction < 1:
            raise InputError(f"{name} = {fraction} is no fraction; give a number from 0 (none) to below 1")
    if held_out + fresh >= 1:
        raise InputError(f"held_out = {held_out} and fresh = {fresh} leave nothing to the search; lower one of them")
    if seed < 0:
        raise InputError(f"seed = {seed} is negative; give 0 or more")
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit} leaves no samples; give 1 or more, or leave it out")
    least = 1 + (held_out > 0) + (fresh > 0)
    kept = count if limit is None else min(count, limit)
    if kept < least:
        share = held_out + fresh
        raise InputError(
            f"task '{task_name}' has {kept} samples to use, and holding out {share:g} of them needs {least}; "
            "give it more samples, raise the limit, or set held_out and fresh to 0"
        )
    order = np.random.default_rng([seed, crc32(task_name.encode())]).permutation(count)[:kept].astype(np.int64)
    held = min(max(round(kept * held_out), 1), kept - least + 1) if held_out > 0 else 0
    last = held + (min(max(round(kept * fresh), 1), kept - held - 1) if fresh > 0 else 0)
    return Split(np.sort(order[last:]), np.sort(order[:held]), np.sort(order[held:last]))
