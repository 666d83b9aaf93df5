"""NSGA-III in a few lines, for functions that cost microseconds: populations of arrays, no study, no storage."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import moocore
import numpy as np
from numpy.typing import NDArray

from ..history import FloatArray

_GENERATIONS = 40
_LEAST = 100  # reference directions
_INDEX = 20.0  # distribution index of crossover and mutation, as in the paper


def reference_directions(objectives: int) -> FloatArray:
    """The coarsest simplex lattice of at least 100 weightings, `weightings x objectives` (Das and Dennis 1998)."""
    divisions = 1
    while len(lattice := _lattice(objectives, divisions)) < _LEAST and objectives > 1:
        divisions += 1
    return lattice


def evolve(
    losses: Callable[[FloatArray], FloatArray],
    start: FloatArray,
    bounds: FloatArray,
    directions: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Evolve a population towards the front (Deb and Jain 2014, https://doi.org/10.1109/TEVC.2013.2281535).

    Args:
        losses: from x, `points x dimension`, to what is minimised, `points x objectives`.
        start: first population, `points x dimension`, at least one; of any size.
        bounds: `dimension x 2`.
        directions: reference directions, `directions x objectives`; as many survive each generation.
        rng: source of chance.

    Returns:
        The last population, `directions x dimension` (fewer where `start` is smaller).
    """
    x, values = start, losses(start)
    for _ in range(_GENERATIONS):
        kept = survivors(values, directions, rng)
        x, values = x[kept], values[kept]
        children = _children(x, bounds, rng, len(directions))
        x, values = np.vstack([x, children]), np.vstack([values, losses(children)])
    return x[survivors(values, directions, rng)]


def survivors(values: FloatArray, directions: FloatArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows that survive: whole non-dominated layers, and of the last one those in the least crowded niches.

    Args:
        values: smaller is better, `points x objectives`.
        directions: `directions x objectives`; their number is that of the survivors.
        rng: breaks ties.
    """
    count = len(directions)
    if len(values) <= count:
        return np.arange(len(values))
    layers = moocore.pareto_rank(values)
    last = int(np.sort(layers)[count - 1])
    sure, open_ = np.flatnonzero(layers < last), np.flatnonzero(layers == last)
    best = values.min(axis=0)
    worst = values[layers == 0].max(axis=0)
    scaled = (values - best) / np.where(worst > best, worst - best, 1.0)
    niche, distance = _niches(scaled, directions)
    crowd = np.bincount(niche[sure], minlength=count)
    chosen = sure.tolist()
    left = {direction: open_[niche[open_] == direction].tolist() for direction in np.unique(niche[open_]).tolist()}
    while len(chosen) < count:
        least = min(crowd[direction] for direction in left)
        direction = int(rng.choice([one for one in left if crowd[one] == least]))
        rows = left[direction]
        row = min(rows, key=distance.__getitem__) if not crowd[direction] else rows[int(rng.integers(len(rows)))]
        rows.remove(row)
        chosen.append(row)
        crowd[direction] += 1
        if not rows:
            del left[direction]
    return np.array(chosen)


def _niches(scaled: FloatArray, directions: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """The reference line nearest to each point, and the distance from it."""
    unit = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    along = scaled @ unit.T
    square = np.maximum((scaled**2).sum(axis=1)[:, None] - along**2, 0.0)
    nearest = square.argmin(axis=1)
    return nearest, np.sqrt(square[np.arange(len(scaled)), nearest])


def _children(x: FloatArray, bounds: FloatArray, rng: np.random.Generator, count: int) -> FloatArray:
    """Simulated binary crossover of random pairs, then polynomial mutation of one coordinate in the mean."""
    low, high = bounds.T
    first, second = x[rng.integers(len(x), size=(2, count))]
    u = rng.random(first.shape)
    spread = np.where(u < 0.5, 2.0 * u, 0.5 / (1.0 - u)) ** (1.0 / (_INDEX + 1.0))
    child = 0.5 * ((1.0 + spread) * first + (1.0 - spread) * second)
    child = np.where(rng.random(first.shape) < 0.5, child, first)
    u = rng.random(first.shape)
    step = np.where(u < 0.5, (2.0 * u) ** (1.0 / (_INDEX + 1.0)) - 1.0, 1.0 - (2.0 - 2.0 * u) ** (1.0 / (_INDEX + 1.0)))
    mutate = rng.random(first.shape) < 1.0 / first.shape[1]
    return np.asarray(np.clip(child + np.where(mutate, step * (high - low), 0.0), low, high))


def _lattice(objectives: int, divisions: int) -> FloatArray:
    """All weightings that are multiples of 1/divisions and add up to one."""
    bars = np.array(list(combinations(range(divisions + objectives - 1), objectives - 1)), dtype=np.intp)
    edges = np.pad(
        bars.reshape(len(bars), objectives - 1),
        ((0, 0), (1, 1)),
        constant_values=((0, 0), (-1, divisions + objectives - 1)),
    )
    return (np.diff(edges, axis=1) - 1) / divisions
