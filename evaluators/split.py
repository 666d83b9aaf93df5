"""Which samples the search may see, and which are held out to re-score its front honestly."""

from __future__ import annotations

from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

IntArray = NDArray[np.int64]


def split_samples(
    count: int, held_out: float, seed: int, task_name: str, limit: int | None = None
) -> tuple[IntArray, IntArray]:
    """Split the samples of one task into search and held-out samples, at random but always the same.

    Args:
        count: number of samples of the task.
        held_out: fraction in [0, 1) to hold out; where it is above 0, each side gets at least one sample.
        seed: the run's seed, not negative; every task derives its own from it and from `task_name`.
        task_name: the task, so that tasks of equal size are not split alike.
        limit: use only this many samples of the task, search and held-out together. A larger limit adds samples.

    Returns:
        Search and held-out indices, both ascending, int64, disjoint.

    Raises:
        InputError: a fraction, seed or limit out of range, or fewer than 2 samples to split.
    """
    if not 0 <= held_out < 1:
        raise InputError(f"held_out = {held_out} is no fraction; give a number from 0 (none) to below 1")
    if seed < 0:
        raise InputError(f"seed = {seed} is negative; give 0 or more")
    if limit is not None and limit < 1:
        raise InputError(f"limit = {limit} leaves no samples; give 1 or more, or leave it out")
    least = 2 if held_out > 0 else 1
    kept = count if limit is None else min(count, limit)
    if kept < least:
        raise InputError(
            f"task '{task_name}' has {kept} samples to use, and holding out {held_out:g} of them needs {least}; "
            "give it more samples, raise the limit, or set held_out to 0"
        )
    order = np.random.default_rng([seed, crc32(task_name.encode())]).permutation(count)[:kept].astype(np.int64)
    held = min(max(round(kept * held_out), 1), kept - 1) if held_out > 0 else 0
    return np.sort(order[held:]), np.sort(order[:held])
