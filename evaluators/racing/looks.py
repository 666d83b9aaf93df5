"""Looks: after how many samples a candidate may be stopped, and how far its bounds must reach for all of them."""

from __future__ import annotations

from statistics import NormalDist


def look_sizes(count: int, first: int = 16, growth: float = 2.0) -> tuple[int, ...]:
    """Sizes of the nested prefixes that a candidate is scored on, ascending; the last one is `count`.

    Args:
        count: number of samples of the task, at least 1.
        first: size of the first look; a task of less than twice as many has the last look alone.
        growth: ratio of one look to the one before, above 1.
    """
    sizes: list[int] = []
    size = float(first)
    while round(size * growth) <= count:
        sizes.append(round(size))
        size *= growth
    return (*sizes, count)


def critical_value(false_stops: float, looks: int, objectives: int) -> float:
    """Standard errors to go below an estimate for lower bounds that hold at once, over looks and objectives.

    Args:
        false_stops: probability allowed that any of the bounds fails, in (0, 1).
        looks: number of looks, the last one included, which sees everything and tests nothing.
        objectives: number of estimates that must all be bounded.

    Returns:
        Quantile of the standard normal distribution at 1 - false_stops / (tests · objectives) (Bonferroni).
    """
    return NormalDist().inv_cdf(1.0 - false_stops / (max(looks - 1, 1) * objectives))
