"""A sample's noise follows from the seed and its own index alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from mergesearch.evaluators.noise import sample_noise

SHAPE = (3, 4, 4)
WHOLE = sample_noise(7, np.arange(1024), SHAPE)


def test_batch_size_and_workers_change_nothing() -> None:
    for size in (512, 256, 33):
        batches = [range(start, min(start + size, 1024)) for start in range(0, 1024, size)]
        with ThreadPoolExecutor(4) as workers:
            parts = list(workers.map(lambda batch: sample_noise(7, batch, SHAPE), batches))
        assert np.array_equal(np.concatenate(parts), WHOLE)


def test_neither_do_the_other_samples() -> None:
    chosen = np.array([5, 900, 17])
    assert np.array_equal(sample_noise(7, chosen, SHAPE), WHOLE[chosen])


def test_it_is_standard_normal_and_differs_between_samples_and_seeds() -> None:
    assert WHOLE.dtype == np.float32 and WHOLE.shape == (1024, *SHAPE)
    assert abs(WHOLE.mean()) < 0.02 and abs(WHOLE.std() - 1) < 0.02
    assert len(np.unique(WHOLE[:, 0, 0, 0])) == 1024
    assert abs(np.corrcoef(WHOLE[0].ravel(), WHOLE[1].ravel())[0, 1]) < 0.6
    assert not np.array_equal(sample_noise(8, [0], SHAPE), WHOLE[:1])


def test_no_samples_no_noise() -> None:
    assert sample_noise(7, [], SHAPE).shape == (0, *SHAPE)
