"""Exact coverage of intervals of right and wrong answers, without any simulation: sums over all that may come out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import binom

from mergesearch.evaluators.statistics.intervals import Interval, difference_interval, score_interval
from mergesearch.evaluators.statistics.scores import MetricScores

FloatArray = NDArray[np.float64]
ACCURACIES = np.linspace(0.05, 0.95, 901)
HIGH = np.linspace(0.95, 0.99, 401)
# Shares of the samples that only the first candidate gets right, and only the second one.
PAIRS = tuple((0.1 + gain / 2, 0.1 - gain / 2) for gain in np.linspace(0, 0.1, 11))
ALIKE_PAIRS = tuple((0.025 + gain / 2, 0.025 - gain / 2) for gain in np.linspace(0, 0.04, 11))
_NEGLIGIBLE = 1e-10


def of_scores(count: int, accuracies: FloatArray) -> FloatArray:
    """Chance that the interval of the score of `count` answers holds the true accuracy, for each of them."""
    found = [score_interval(MetricScores.mean(np.arange(count) < right)) for right in range(count + 1)]
    low, high = np.array([(one.low, one.high) for one in found]).T[:, :, None]
    chances = binom.pmf(np.arange(count + 1)[:, None], count, accuracies)
    return np.asarray((chances * ((low <= accuracies) & (accuracies <= high))).sum(axis=0))


def of_differences(count: int, pairs: Sequence[tuple[float, float]]) -> FloatArray:
    """Chance that the interval of the difference of two candidates on `count` samples holds the true one, for each."""
    return np.array([_of_difference(count, *pair) for pair in pairs])


def _of_difference(count: int, won: float, lost: float) -> float:
    wins, losses = (one.ravel() for one in np.indices((count + 1, count + 1)))
    rest = count - wins - losses
    logs = gammaln(count + 1) - gammaln(wins + 1) - gammaln(losses + 1) - gammaln(np.maximum(rest, 0) + 1)
    logs = logs + wins * np.log(won) + losses * np.log(lost) + rest * np.log1p(-won - lost)
    chances = np.where(rest >= 0, np.exp(logs), 0.0)
    outcomes = np.flatnonzero(chances > _NEGLIGIBLE)
    held = [won - lost in _difference(count, int(wins[one]), int(losses[one])) for one in outcomes]
    return float(chances[outcomes] @ held)


def _difference(count: int, wins: int, losses: int) -> Interval:
    ours, theirs = np.zeros(count), np.zeros(count)
    ours[:wins], theirs[wins : wins + losses] = 1, 1
    return difference_interval(MetricScores.mean(ours), MetricScores.mean(theirs))
