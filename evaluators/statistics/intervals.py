"""95 % intervals of scores, of paired differences, and of weighted sums of either.

Which formulas these are was decided by their coverage, see `benchmarks/coverage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from .differences import differences, is_binary
from .scores import FloatArray, MetricScores

CONFIDENCE = 0.95
_TAIL = (1 + CONFIDENCE) / 2
_NORMAL = float(ndtri(_TAIL))
_FEWEST = round(1 / (1 - _TAIL))  # replicates that reach both tails


@dataclass(frozen=True)
class Interval:
    """An estimate, and the ends of its 95 % interval, in the unit of the estimate."""

    value: float
    low: float
    high: float

    def __contains__(self, number: object) -> bool:
        """Whether a number lies in the interval, its ends included."""
        return isinstance(number, float | int) and self.low <= number <= self.high


def score_interval(scores: MetricScores) -> Interval:
    """Interval of a metric over the choice of samples.

    Values that are all 0 or 1 have Wilson's interval (Wilson 1927; Brown, Cai and DasGupta 2001), which near the limits
    covers what it should, too, and never shrinks to a point. Other plain means have Student's. Where a metric has
    replicates, their percentiles count, moved from the mean of the replicates to the value: the bootstrap of a biased
    metric, such as a Fréchet distance, has its bias twice.

    Raises:
        InputError: the scores have neither samples nor replicates.
    """
    error, samples, replicates = scores.stderr, scores.samples, scores.replicates
    if replicates is not None:
        return _of_replicates(scores.value, replicates[np.isfinite(replicates)], error)
    count = 0 if samples is None else samples.size
    if samples is not None and is_binary(samples):
        return _wilson(scores.value, count)
    return _student(scores.value, error, count - 1)


def difference_interval(ours: MetricScores, theirs: MetricScores, parts: int = 1) -> Interval:
    """Interval of the difference `ours - theirs`, paired on the same samples; see `differences` for `parts`.

    Raises:
        InputError: the two are not scores of one metric on equally many samples.
    """
    found = differences(ours, [theirs], parts)
    around = _student(float(found.centers[0]), float(found.errors[0]), float(found.freedom[0]))
    return Interval(float(found.values[0]), around.low, around.high)


def weighted_sum(weights: Sequence[float], parts: Sequence[Interval]) -> Interval:
    """Interval of a weighted sum of independent estimates, each with an interval of its own.

    The distances from each value to the ends of its interval are added as errors are, squared (method of variance
    estimates recovery; Zou and Donner 2008, eq. 4), so that the intervals need not be symmetric.
    """
    value, below, above = 0.0, 0.0, 0.0
    for weight, part in zip(weights, parts, strict=True):
        value += weight * part.value
        ends = sorted((weight * (part.low - part.value), weight * (part.high - part.value))) if weight else (0.0, 0.0)
        below, above = math.hypot(below, ends[0]), math.hypot(above, ends[1])
    return Interval(value, value - below, value + above)


def _student(value: float, error: float, freedom: float) -> Interval:
    """From a standard error and its degrees of freedom (infinite: a normal distribution)."""
    known = math.isfinite(error) and freedom >= 1
    half = float(stdtrit(freedom, _TAIL)) * error if known else math.inf
    return Interval(value, value - half, value + half)


def _of_replicates(value: float, replicates: FloatArray, error: float) -> Interval:
    if replicates.size < _FEWEST:
        return _student(value, error, replicates.size - 1)
    # Quantiles of a new replicate rather than of these (Weibull's), for a few dozen of them miss the tails.
    low, high = np.quantile(replicates, (1 - _TAIL, _TAIL), method="weibull") - replicates.mean()
    return Interval(value, min(value + low, value), max(value + high, value))


def _wilson(share: float, count: int) -> Interval:
    square = _NORMAL**2 / count
    center = (share + square / 2) / (1 + square)
    half = _NORMAL / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    # Rounding must not put the value itself outside.
    return Interval(share, min(max(center - half, 0.0), share), max(min(center + half, 1.0), share))
