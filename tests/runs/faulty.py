"""An evaluator that goes wrong once, in a way of its choice; loaded by the path of this file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mergesearch.evaluators.evaluator import Evaluator, IntArray, Scores
from mergesearch.evaluators.statistics.scores import MetricScores


class Faulty(Evaluator):
    """Scores the first weights of the model on 20 samples, but for its seventh call."""

    def __init__(self, name: str, fault: str = "none", per_sample: bool = True) -> None:
        super().__init__(name)
        self.fault, self.per_sample, self.calls = fault, per_sample, 0

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Refuse to begin, where that is the fault."""
        if self.fault == "unready":
            raise RuntimeError("no licence")

    def tasks(self) -> Mapping[str, int]:
        return {self.name: 0 if self.fault == "empty" else 20}

    def metrics(self) -> Mapping[str, Mapping[str, bool]]:
        return {self.name: {"size": False}}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        self.calls += 1
        rows = samples[self.name]
        weights = next(iter(model.parameters())).detach().double().flatten()
        scores = self._scores(np.abs(weights[rows].numpy()))
        return {self.name: self._spoilt(scores, len(rows)) if self.calls == 7 else {"size": scores}}

    def fingerprint(self) -> str:
        return f"faulty {self.fault} {self.per_sample}"

    def _scores(self, values: Any) -> MetricScores:
        return MetricScores.mean(values) if self.per_sample else MetricScores.aggregate(values, np.median)

    def _spoilt(self, scores: MetricScores, count: int) -> Any:
        if self.fault == "raises":
            raise ValueError("the scorer\nlost its mind")
        values = np.ones(count)
        if self.fault == "input":
            MetricScores.mean([])
        return {
            "nan": {"size": MetricScores.mean(np.where(np.arange(count) == 1, np.nan, values))},
            "few": {"size": MetricScores.mean(values[1:])},
            "new": {"size": scores, "width": scores},
            "other": {"width": scores},
            "plain": {"size": 1.0},
            "neither": {"size": MetricScores(1.0, None, None)},
            "of another kind": {"size": MetricScores.aggregate(values, np.median)},
            "nothing": None,
        }.get(self.fault, {"size": scores})
