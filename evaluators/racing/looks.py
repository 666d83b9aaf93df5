"""Looks: after how many samples a candidate may be stopped, and how far its bounds must reach for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np

from .strata import FloatArray

_LOWEST, _NODES = -8.0, 96  # of the quadrature: standard errors below which nothing lies, and points


def look_sizes(count: int, first: int = 16, growth: float = 1.5) -> tuple[int, ...]:
    """Sizes of the nested prefixes that a candidate is scored on, ascending; the last one is `count`.

    Args:
        count: number of samples of the task, at least 1.
        first: size of the first look; a task of less than twice as many has the last look alone.
        growth: ratio of one look to the one before, above 1.
    """
    sizes: list[int] = []
    size = float(first)
    while 2 * first <= count and round(size * growth) <= count:
        sizes.append(round(size))
        size *= growth
    return (*dict.fromkeys(sizes), count)


@lru_cache
def critical_value(false_stops: float, looks: Sequence[int], objectives: int) -> float:
    """Standard errors between an estimate and its lower bound, for bounds that hold at once at all looks.

    The errors of a mean at two looks of n < m of N samples correlate as √(v(m) / v(n)), v(n) = 1/n - 1/N, and make a
    Markov chain; the probability that none exceeds the bound is integrated look by look (Armitage, McPherson and Rowe
    1969). Over objectives the bounds are independent, or at worst (Šidák) fail less often than if they were.

    Args:
        false_stops: probability allowed that any of the bounds fails, in (0, 1).
        looks: sizes of the looks, ascending, a tuple; the last one sees everything and tests nothing.
        objectives: number of estimates that must all be bounded.
    """
    sizes = np.array(looks[:-1], dtype=np.float64)
    allowed = 1.0 - (1.0 - false_stops) ** (1.0 / objectives)
    low, high = NormalDist().inv_cdf(1.0 - allowed), NormalDist().inv_cdf(1.0 - allowed / max(len(sizes), 1))
    variances = 1.0 / sizes - 1.0 / looks[-1]
    correlations = np.sqrt(variances[1:] / variances[:-1])
    for _ in range(40):  # the Bonferroni bound is the upper end, a single look the lower one
        middle = (low + high) / 2.0
        low, high = (middle, high) if _failing(middle, correlations) > allowed else (low, middle)
    return high


def _failing(critical: float, correlations: FloatArray) -> float:
    """Probability that a chain of standard normal errors, each correlated with the one before, exceeds a bound."""
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    half = (critical - _LOWEST) / 2.0
    points, weights = _LOWEST + half * (points + 1.0), half * weights
    density = _normal(points)
    for one in correlations:
        spread = np.sqrt(1.0 - one**2)
        density = _normal((points[:, None] - one * points) / spread) / spread @ (weights * density)
    return float(1.0 - weights @ density)


def _normal(values: FloatArray) -> FloatArray:
    return np.asarray(np.exp(-(values**2) / 2.0) / np.sqrt(2.0 * np.pi))
