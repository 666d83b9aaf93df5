"""Threads that compute side by side, one core each: hashing uses one core, however many torch may have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def side_by_side(count: int) -> Iterator[ThreadPoolExecutor]:
    """At most `count` threads, in which torch's operations stay on one core; elsewhere they are as before."""
    threads = torch.get_num_threads()
    workers = max(1, min(count, os.cpu_count() or 1))
    try:
        with ThreadPoolExecutor(workers, "build", initializer=torch.set_num_threads, initargs=(1,)) as pool:
            yield pool
    finally:
        torch.set_num_threads(threads)  # what the workers set holds for threads that are yet to come, too
