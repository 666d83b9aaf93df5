"""Sampling by Gumbel noise: an answer's chance is its own, whatever else is drawn beside it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from transformers import LogitsProcessor


class GumbelNoise(LogitsProcessor):
    """Turns the likeliest token into a draw from softmax(logits / temperature) (Gumbel-max; Maddison et al. 2014).

    The noise of an answer follows from its seed and its tokens' places. So the answers of two candidates to one prompt
    differ where the models do, rather than by luck, and each is the same in any batch.

    Args:
        seeds: of each row, integers that are not negative.
        temperature: above 0.
    """

    def __init__(self, seeds: Sequence[Sequence[int]], temperature: float) -> None:
        self._seeds = [int(np.random.SeedSequence(one).generate_state(1, np.uint64)[0] >> 1) for one in seeds]
        self._temperature = temperature
        self._generators: list[torch.Generator] = []

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Return scores / temperature + noise, `rows x vocabulary`."""
        if not self._generators:
            self._generators = [torch.Generator(scores.device).manual_seed(seed) for seed in self._seeds]
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self._generators, strict=True):
            row.exponential_(generator=generator)
        noise.clamp_min_(torch.finfo(noise.dtype).tiny).log_().neg_()
        return noise.add_(scores, alpha=1 / self._temperature)  # type: ignore[return-value]
