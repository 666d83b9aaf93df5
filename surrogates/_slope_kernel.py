"""Covariances between values and slopes of a process under an RBF kernel, and their derivative by its length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IndexArray = NDArray[np.intp]


@dataclass(frozen=True)
class Equations:
    """What a process is asked for: the value, or one slope, at a point.

    Attributes:
        x: float64, `points x N`.
        point: the point of each equation, `equations`.
        entry: 0 for its value, 1 + k for its slope by coordinate k, `equations`.
    """

    x: FloatArray
    point: IndexArray
    entry: IndexArray

    @property
    def is_value(self) -> NDArray[np.bool_]:
        """Which equations are values, `equations`."""
        return np.asarray(self.entry == 0)

    @property
    def directions(self) -> FloatArray:
        """What a linear function is multiplied with: x of a value, the unit vector of a slope; `equations x N`."""
        rows = np.eye(1 + self.x.shape[1])[:, 1:][self.entry]
        rows[self.is_value] = self.x[self.point[self.is_value]]
        return rows


@dataclass(frozen=True)
class Pairs:
    """All that the covariance of each pair of equations needs, whatever the length; each `equations x equations`.

    Attributes:
        square: squared distance of the two points.
        product: product of the steps along the slopes' coordinates, with the sign of the derivative.
        same: 1 where both are slopes by the same coordinate, else 0.
        order: how many of the two are slopes.
    """

    square: FloatArray
    product: FloatArray
    same: FloatArray
    order: FloatArray

    @classmethod
    def of(cls, equations: Equations) -> Self:
        """Pair each equation with each."""
        point, entry, slope = equations.point, equations.entry, ~equations.is_value
        steps = _steps(equations.x, equations.x)
        at = np.ix_(point, point)
        product = steps[(*at, entry[:, None])] * steps[(*at, entry[None, :])]
        product[slope] *= -1.0  # a step leads from the second point to the first
        same = np.equal.outer(entry, entry) & slope[:, None]
        square = (steps[:, :, 1:] ** 2).sum(axis=2)[at]
        return cls(square, product, same.astype(np.float64), np.add.outer(slope * 1.0, slope * 1.0))

    def rbf(self, length: float) -> tuple[FloatArray, FloatArray]:
        """Covariances under k = exp(-‖x - x'‖²/2l²) and its derivatives, and their own derivatives by log l.

        Source: Rasmussen and Williams 2006, section 9.4 (a derivative of a Gaussian process is one too).
        """
        scaled = self.square / length**2
        k = np.exp(-0.5 * scaled)
        slopes, diagonal = k * self.product * length ** (-2.0 * self.order), k * self.same / length**2
        covariance = slopes + diagonal
        return covariance, covariance * scaled - 2.0 * (self.order * slopes + diagonal)


def rbf_values(x: FloatArray, equations: Equations, length: float) -> FloatArray:
    """Covariances of the values at x, `points x N`, with the equations, under the same kernel; `points x equations`."""
    steps = _steps(x, equations.x)
    steps[:, :, 1:] /= length
    k = np.exp(-0.5 * (steps[:, :, 1:] ** 2).sum(axis=2))
    steps[:, :, 1:] /= length
    return np.asarray((steps * k[:, :, None])[:, equations.point, equations.entry])


def _steps(first: FloatArray, second: FloatArray) -> FloatArray:
    """One, then the step from each second point to each first one, `points x others x (1 + N)`."""
    step = first[:, None] - second[None]
    return np.concatenate([np.ones((*step.shape[:2], 1)), step], axis=2)
