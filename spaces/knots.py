"""DepthKnots: coefficients that change smoothly with depth, given by a few anchors and interpolated between them."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .row import RowSpace
from .space import Space
from .table import TOLERANCE, CoefficientTable, FloatArray


class DepthKnots(Space):
    """Rows interpolated linearly over depth between `knots` anchors, each a row from `space`.

    The anchors stand evenly from the shallowest group to the deepest. x is their coordinates one after another.

    Args:
        space: the space of one row; it must be convex, so that interpolated rows belong to it.
        depths: depth of each group, float64, `groups`, in [0, 1].
        knots: number of anchors; 1 gives every group the same row.

    Raises:
        InputError: the rows of `space` form no convex set, or there are more anchors than the depths can tell apart.
    """

    def __init__(self, space: RowSpace, depths: FloatArray, knots: int) -> None:
        if not space.convex:
            raise InputError(
                f"rows of {type(space).__name__} cannot be interpolated over depth, as what lies between two of them "
                "is not one; remove 'knots', or take a kind such as simplex or box"
            )
        super().__init__(len(depths), space.members)
        self.space = space
        self._mixing = _interpolation(np.asarray(depths, dtype=np.float64), knots)
        self._unmixing = np.linalg.pinv(self._mixing)

    @property
    def names(self) -> list[str]:
        """Named `knot <k>: <coordinate>`, from the shallowest anchor to the deepest."""
        return [f"knot {knot}: {name}" for knot in range(self._mixing.shape[1]) for name in self.space.names]

    @property
    def bounds(self) -> FloatArray:
        """The row space's bounds for every anchor, float64, `dimension x 2`."""
        return np.tile(self.space.bounds, (self._mixing.shape[1], 1))

    def table(self, x: FloatArray) -> CoefficientTable:
        """Decode x, float64, `knots · row dimension`, into anchors and interpolate them."""
        parts = np.reshape(x, (self._mixing.shape[1], self.space.dimension))
        return CoefficientTable.of(self._mixing @ np.stack([self.space.row(part) for part in parts]))

    def vector(self, table: CoefficientTable) -> FloatArray | None:
        """Encode the anchors that fit the table best by least squares; None where they do not reproduce it."""
        rows = self._rows(table)
        if rows is None:
            return None
        anchors = self._unmixing @ rows
        if not np.allclose(self._mixing @ anchors, rows, rtol=0.0, atol=TOLERANCE):
            return None
        parts = [part for part in map(self.space.coordinates, anchors) if part is not None]
        return np.concatenate(parts) if len(parts) == len(anchors) else None


def _interpolation(depths: FloatArray, knots: int) -> FloatArray:
    """Weight of each anchor in each group's row, float64, `groups x knots`; every row sums to one."""
    if not (isinstance(knots, int) and knots >= 1):
        raise InputError(f"knots is {knots}; give a whole number, at least 1")
    if knots == 1:
        return np.ones((len(depths), 1))
    anchors = np.linspace(depths.min(), depths.max(), knots)
    mixing = np.stack([np.interp(depths, anchors, one_hot) for one_hot in np.eye(knots)], axis=1)
    rank = np.linalg.matrix_rank(mixing) if anchors[0] < anchors[-1] else 1
    if rank < knots:
        raise InputError(
            f"{knots} knots are more than {len(depths)} groups at {len(np.unique(depths))} depths can tell apart; "
            f"give at most {rank} knots, or split the model into more groups"
        )
    return mixing
