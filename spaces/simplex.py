"""Simplex: weighted averages of the members. Weights are not negative and sum to one."""

from __future__ import annotations

import numpy as np

from .row import RowSpace
from .table import TOLERANCE, FloatArray


class Simplex(RowSpace):
    """Rows with cᵢ ≥ 0 and Σᵢ cᵢ = 1, by breaking a stick of length one into `members` pieces.

    Member i takes the fraction vᵢ of what its predecessors left, vᵢ = 1 - (1 - xᵢ)^(1/kᵢ), where kᵢ members come
    after it. That is the quantile of Beta(1, kᵢ), so x uniform on the unit cube is a row uniform on the simplex
    (Dirichlet(1, …, 1); Devroye 1986, Non-Uniform Random Variate Generation, XI.4). No dimension is wasted, as it
    would be by weights that are normalised later. On the boundary the coordinates after a stick that is used up
    decide nothing; `vector` gives them as zero.
    """

    row_sum = 1.0

    @property
    def names(self) -> list[str]:
        """One name per member but the last, which takes what is left."""
        return [f"share {name}" for name in self.member_names[:-1]]

    @property
    def bounds(self) -> FloatArray:
        """Zeros and ones, float64, `members - 1 x 2`."""
        return np.tile([0.0, 1.0], (self.members - 1, 1))

    def row(self, x: FloatArray) -> FloatArray:
        """Break the stick at x, float64, `members - 1`, into weights, `members`."""
        with np.errstate(divide="ignore"):  # x = 1 takes all that is left: log 0 = -inf, as it should be
            kept = np.log1p(-np.clip(x, 0.0, 1.0)) / self._followers
        left = np.concatenate([[1.0], np.exp(np.cumsum(kept))])
        return np.asarray(left * np.append(-np.expm1(kept), 1.0), dtype=np.float64)

    def coordinates(self, row: FloatArray) -> FloatArray | None:
        """The breaks that give these weights, `members` → `members - 1`; None off the simplex."""
        if not (abs(row.sum() - 1.0) <= TOLERANCE and row.min() >= -TOLERANCE):
            return None
        row = np.maximum(row, 0.0)
        left = np.cumsum(row[::-1])[::-1]  # summed from the end, so that a short rest keeps its relative precision
        kept = np.divide(left[1:], left[:-1], out=np.ones(self.members - 1), where=left[:-1] > 0)
        return np.asarray(1.0 - kept**self._followers, dtype=np.float64)

    @property
    def _followers(self) -> FloatArray:
        """Number of members that come after each but the last, `members - 1`."""
        return np.arange(self.members - 1, 0, -1, dtype=np.float64)
