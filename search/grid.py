"""Grid search: every combination of a few values per dimension."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .history import FloatArray, History
from .searcher import Searcher


class Grid(Searcher):
    """Goes through the full grid in lexicographic order (the last dimension moves fastest), and then stops.

    Args:
        seed: seed of the run; a grid has no use for it.
        points: values per dimension, evenly from bound to bound; at least 2.
        limit: largest grid to start on.

    Raises:
        InputError: fewer than 2 points per dimension.
    """

    def __init__(self, seed: int = 0, points: int = 5, limit: int = 10_000) -> None:
        super().__init__(seed)
        if points < 2:
            raise InputError(f"points is {points}; give at least 2 values per dimension")
        self.points, self.limit = points, limit

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the first grid point that was not tried, float64, `dimension`, or None after the last.

        Raises:
            InputError: the grid has more than `limit` points.
        """
        dimension = history.space.dimension
        size = self.points**dimension
        if size > self.limit:
            raise InputError(
                f"a grid of {self.points} points in each of {dimension} dimensions has {size} points, more than the "
                f"limit of {self.limit}; lower 'points', use fewer groups or members, or take sobol"
            )
        low, high = history.space.bounds.T
        values = np.linspace(low, high, self.points)
        shape = (self.points,) * dimension
        grid = (values[np.array(index, dtype=np.intp), np.arange(dimension)] for index in np.ndindex(shape))
        return next((x for x in grid if not history.tried(x)), None)
