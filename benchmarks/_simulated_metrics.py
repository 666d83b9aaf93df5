"""Simulated metrics without a value per sample: F1 of a classifier that finds rare positives, and perplexity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from _tally import Tally
from numpy.typing import NDArray

from mergesearch.evaluators.statistics.bootstrap import FEW_REPLICATES
from mergesearch.evaluators.statistics.intervals import difference_interval, score_interval
from mergesearch.evaluators.statistics.scores import MetricScores

Booleans = NDArray[np.bool_]
_FOUND, _REFUSED = (0.5, 1.0), (0.8, 1.0)  # share of the positives, and of the others, that a classifier gets right


@dataclass(frozen=True)
class FMeasure:
    """F1 of two classifiers that decide alike on most samples.

    Attributes:
        samples: number of them.
        positives: expected number of positive ones.
        alike: share of the samples on which the second one decides as the first one does, whatever is true.
    """

    samples: int
    positives: int
    alike: float = 0.9

    def __str__(self) -> str:
        return f"{self.positives} positives of {self.samples}"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """A classifier that finds any part of the positives from half of them, and its difference to another one."""
        share = self.positives / self.samples
        right = np.array([generator.uniform(*_REFUSED), generator.uniform(*_FOUND)])
        labels = generator.random(self.samples) < share
        if not labels.any():
            return
        first = labels ^ (generator.random(self.samples) > right[labels.astype(int)])
        better = labels ^ (generator.random(self.samples) > (right[labels.astype(int)] + 1) / 2)
        same = generator.random(self.samples) < self.alike
        truth, other = _truth(share, right), _truth(share, self.alike * right + (1 - self.alike) * (right + 1) / 2)
        decided = (first, np.where(same, first, better))
        ours, theirs = (MetricScores.decisions(labels, one, _f1, FEW_REPLICATES) for one in decided)
        tally.count("F1", truth in score_interval(ours), ours.value - truth)
        tally.count("difference of F1", truth - other in difference_interval(ours, theirs))


@dataclass(frozen=True)
class Perplexity:
    """Perplexity of windows of unequal lengths."""

    samples: int

    def __str__(self) -> str:
        return "windows of 5 to 40 tokens"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Nats of a window are gamma distributed, of any mean from 1 to 3."""
        tokens, mean = generator.integers(5, 40, self.samples), generator.uniform(1, 3)
        nats = tokens * generator.gamma(4, mean / 4, self.samples)
        found = score_interval(MetricScores.weighted(nats, tokens, link="exp"))
        tally.count("perplexity", float(np.exp(mean)) in found)


def _f1(labels: Booleans, decided: Booleans) -> float:
    named = np.count_nonzero(labels) + np.count_nonzero(decided)
    return 2 * np.count_nonzero(labels & decided) / named if named else 0.0


def _truth(share: float, right: NDArray[np.float64]) -> float:
    """F1 for a share of positives; `right` is the share of the others and of them that are decided rightly."""
    both = share * right[1]
    return float(2 * both / (share + both + (1 - share) * (1 - right[0])))
