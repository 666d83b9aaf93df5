"""95 % intervals of scores, of paired differences, and of weighted sums of either.

Which formulas these are was decided by their coverage, see `benchmarks/coverage.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from .differences import differences, is_binary
from .scores import FloatArray, MetricScores

CONFIDENCE = 0.95
_TAIL = (1 + CONFIDENCE) / 2
_NORMAL = float(ndtri(_TAIL))
_FEWEST = round(1 / (1 - _TAIL))  # replicates that reach both tails
_SYMMETRIC = 1e-6  # third standardised moment below which there is nothing to divide by


@dataclass(frozen=True)
class Interval:
    """An estimate, and the ends of its 95 % interval, in the unit of the estimate."""

    value: float
    low: float
    high: float

    def __contains__(self, number: object) -> bool:
        """Whether a number lies in the interval, its ends included."""
        return isinstance(number, float | int) and self.low <= number <= self.high


def score_interval(scores: MetricScores, parts: float = 1) -> Interval:
    """Interval of a metric over the choice of samples.

    Values that are all 0 or 1 have Wilson's interval (Wilson 1927; Brown, Cai and DasGupta 2001), which near the limits
    covers what it should, too, and never shrinks to a point. Other plain means have Student's, with a longer side where
    the values are skewed. Where a metric has replicates, their percentiles count; those of a ratio of totals reach as
    far as Student's.

    Args:
        scores: of one metric.
        parts: how many such intervals, of independent scores, will be added up; their sum is the less skewed. Infinite
            where one will be subtracted from another of its kind, which is not skewed.

    Raises:
        InputError: the scores have neither samples nor replicates.
    """
    error, samples, replicates = scores.stderr, scores.samples, scores.replicates
    if replicates is not None:
        known = replicates[np.isfinite(replicates)]
        if samples is not None and known.size >= _FEWEST:
            return _of_ratio(scores.value, error, known, samples.size)
        return _of_replicates(scores.value, known, error)
    if samples is not None and is_binary(samples):
        return _wilson(scores.value, samples.size)
    return _skewed(scores.value, error, np.asarray(samples), parts)


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


def _skewed(value: float, error: float, samples: FloatArray, parts: float) -> Interval:
    """Student's interval, each end as far out as Hall's is, if that is farther.

    Hall (1992, On the removal of skewness by transformation, section 2) makes t symmetric by a cubic of which the third
    moment is a coefficient. That lengthens the side of the long tail, as it should, and shortens the other one, which
    is right for skewed values only: of symmetric ones with heavy tails the third moment is large by chance, too. The
    mean of independent parts is off centre by one over their number of what each of them is.
    """
    plain = _student(value, error, samples.size - 1)
    deviation = float(samples.std())
    if not math.isfinite(plain.high) or deviation == 0:
        return plain
    third = float((((samples - value) / deviation) ** 3).mean())
    if abs(third) < _SYMMETRIC:
        return plain
    quantile, root = float(stdtrit(samples.size - 1, _TAIL)), math.sqrt(samples.size)
    cubes = [1 + third * (sign * quantile / root - third / (6 * samples.size)) for sign in (1, -1)]
    low, high = (value - error * root * 3 / third * (math.cbrt(cube) - 1) for cube in cubes)
    below, above = max(plain.low - low, 0.0) / parts, max(high - plain.high, 0.0) / parts
    return Interval(value, plain.low - below, plain.high + above)


def _of_ratio(value: float, error: float, replicates: FloatArray, count: int) -> Interval:
    """Percentiles as far out as those of so many samples must be (Hesterberg 2015, section 5.3), and as Student's."""
    plain = _student(value, error, count - 1)
    tail = float(ndtr(-math.sqrt(count / (count - 1)) * float(stdtrit(count - 1, _TAIL))))
    return _reaching(plain, *_percentiles(replicates, tail))


def _reaching(interval: Interval, low: float, high: float) -> Interval:
    """The interval, with ends as far out as these."""
    return Interval(interval.value, min(interval.low, low), max(interval.high, high))


def _of_replicates(value: float, replicates: FloatArray, error: float) -> Interval:
    if replicates.size < _FEWEST:
        return _student(value, error, replicates.size - 1)
    return _reaching(Interval(value, value, value), *_percentiles(replicates, 1 - _TAIL))


def _percentiles(replicates: FloatArray, tail: float) -> tuple[float, float]:
    """Quantiles of a new replicate rather than of these (Weibull's), for a few dozen of them miss the tails."""
    low, high = np.quantile(replicates, (tail, 1 - tail), method="weibull")
    return float(low), float(high)


def _wilson(share: float, count: int) -> Interval:
    square = _NORMAL**2 / count
    center = (share + square / 2) / (1 + square)
    half = _NORMAL / (1 + square) * math.sqrt(share * (1 - share) / count + square / (4 * count))
    # Rounding must not put the value itself outside.
    return Interval(share, min(max(center - half, 0.0), share), max(min(center + half, 1.0), share))
