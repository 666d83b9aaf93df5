"""A data loader that counts which samples it scored, for benchmarks of how many a search needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.evaluator import IntArray, Scores


class Counted(DataLoaderEvaluator):
    """Remembers, over all its instances in a process, the samples of every call of `score`."""

    calls: ClassVar[list[Mapping[str, IntArray]]] = []

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score them, and remember which they were."""
        Counted.calls.append(dict(samples))
        return super().score(model, samples)
