"""Noise for generative models: a sample's noise is its own, whatever else is drawn with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .evaluator import IntArray


def sample_noise(seed: int, samples: IntArray | Sequence[int], shape: Sequence[int]) -> NDArray[np.float32]:
    """Standard normal noise, float32, `samples x shape`; row i follows from `seed` and `samples[i]` alone.

    So all candidates of a search are compared on the same noise, and a sample's score does not depend on the batch
    size, on the number of workers, or on which other samples are scored.

    Args:
        seed: not negative.
        samples: indices, not negative, as an evaluator is given them.
        shape: of one sample's noise.
    """
    rows = [np.random.default_rng([seed, int(one)]).standard_normal(tuple(shape), dtype=np.float32) for one in samples]
    return np.stack(rows) if rows else np.empty((0, *shape), dtype=np.float32)


def sample_generators(seed: int, samples: IntArray | Sequence[int]) -> list[Any]:
    """One torch.Generator on the CPU for each sample, for a sampler that draws noise at every step.

    What a sample's generator draws follows from `seed` and the sample's number alone, and is independent of its
    `sample_noise`. Draw each sample's part of a batch from its own generator, and move it to the device afterwards;
    pipelines of diffusers do so where they are given the list as `generator`.

    Args:
        seed: not negative.
        samples: indices, not negative, as an evaluator is given them.
    """
    import torch

    seeds = [np.random.SeedSequence([seed, int(one), 1]).generate_state(1, np.uint64)[0] for one in samples]
    return [torch.Generator().manual_seed(int(own) >> 1) for own in seeds]
