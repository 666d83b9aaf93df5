"""Simulated races: what a candidate that was stopped early is said to score, and how well that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from _simulated_scores import SKILLS, Kind, draw, truth_of
from _tally import Tally

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.evaluators.racing.dominance import dominated_by
from mergesearch.evaluators.racing.looks import critical_value, look_sizes
from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.paired import paired_estimate
from mergesearch.evaluators.racing.strata import strata_of
from mergesearch.evaluators.statistics.scores import FloatArray

_MEMBERS, _INCUMBENTS, _BEHIND = 3, 20, 0.5  # by how much the candidate is behind them, of a normal quantile
_FALSE_STOPS, _AGREEMENT, _NORMAL = 0.1, 0.2, 1.96


@dataclass(frozen=True)
class Race:
    """A candidate that races against the front of 20 others, who are mostly better, on two tasks."""

    kind: Kind
    samples: int
    alike: float = 0.6

    def __str__(self) -> str:
        return f"{self.kind}, 2 objectives, correlated by {self.alike}"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Look by look, until it is dominated; those that are not count for nothing."""
        skills = generator.normal(generator.uniform(*SKILLS), 0.2, (2, _INCUMBENTS + 1))
        skills[:, -1] -= _BEHIND
        scores = np.array([draw(generator, self.kind, each, self.samples, self.alike) for each in skills])
        truth = truth_of(self.kind, skills[:, -1])
        for estimates, spreads in self._looks(generator, scores):
            losses = -scores[:, :-1].mean(axis=2).T
            critical = critical_value(_FALSE_STOPS, look_sizes(self.samples), 2)
            if dominated_by([Estimate(-one.value, one.error) for one in estimates], losses, critical) is None:
                continue
            for task, (one, spread) in enumerate(zip(estimates, spreads, strict=True)):
                full = float(scores[task, -1].mean())
                inside = abs(one.value - full) <= _NORMAL * one.error
                tally.count("full score of one that was stopped", inside, one.value - full)
                error = np.hypot(one.error, spread / np.sqrt(self.samples))
                tally.count("score of one that was stopped", abs(one.value - truth[task]) <= _NORMAL * error)
            return

    def _looks(
        self, generator: np.random.Generator, scores: FloatArray
    ) -> Iterator[tuple[list[Estimate], list[float]]]:
        strata = [strata_of(each[:_MEMBERS]) for each in scores]
        seeds = generator.integers(2**32, size=2)
        orders = [visiting_order(one, _AGREEMENT, [int(one_seed)]) for one, one_seed in zip(strata, seeds, strict=True)]
        for size in look_sizes(self.samples)[:-1]:
            estimates = [
                paired_estimate(one, order[:size], each[-1, order[:size]], each[:-1])
                for one, order, each in zip(strata, orders, scores, strict=True)
            ]
            yield estimates, [float(each[-1, order[:size]].std()) for order, each in zip(orders, scores, strict=True)]
