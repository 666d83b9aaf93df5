"""A quadratic model of a loss around one point, learned from slopes (BFGS), and its least value in a subspace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from ..history import FloatArray

_DAMPING = 0.2  # Powell's: the least share of its own curvature that the model keeps along a step


@dataclass(frozen=True)
class LocalModel:
    """loss(u + p) ≈ loss(u) + slope·p + p·B·p/2 with B = scale·I + Σ signs·vectors·vectors', positive definite.

    Attributes:
        slope: at u, `dimension`.
        scale: curvature along what no step has explored.
        vectors: two for each step learned from, `dimension x 2 steps`.
        signs: 1 or -1 for each.
    """

    slope: FloatArray
    scale: float
    vectors: FloatArray
    signs: FloatArray

    @classmethod
    def at(cls, slope: FloatArray, scale: float) -> LocalModel:
        """The model that knows of no step yet."""
        return cls(slope, scale, np.empty((len(slope), 0)), np.empty(0))

    def curved(self, step: FloatArray) -> FloatArray:
        """B·step, `dimension`."""
        return self.scale * step + self.vectors @ (self.signs * (self.vectors.T @ step))

    def gain(self, step: FloatArray) -> float:
        """By how much the loss falls, to the model."""
        return -float(step @ (self.slope + 0.5 * self.curved(step)))

    def learned(self, step: FloatArray, change: FloatArray) -> LocalModel:
        """With B·step = change of the slope along it (BFGS; damped: Nocedal & Wright 2006, procedure 18.2)."""
        known = self.curved(step)
        own, measured = float(step @ known), float(step @ change)
        if measured < _DAMPING * own:
            share = (1.0 - _DAMPING) * own / (own - measured)
            change, measured = share * change + (1.0 - share) * known, _DAMPING * own
        pair = np.stack([known / np.sqrt(own), change / np.sqrt(measured)], axis=1)
        signs = np.concatenate([self.signs, [-1.0, 1.0]])
        return replace(self, vectors=np.hstack([self.vectors, pair]), signs=signs)

    def best_step(self, point: FloatArray, columns: FloatArray, radius: float) -> FloatArray:
        """The step, `dimension`, from `point` along tied coordinates that the model likes best.

        Args:
            point: coordinates from 0 to 1, `units · width`.
            columns: patterns over the units, `units x patterns`; each coordinate of a unit moves along any of them.
            radius: how far to move along a pattern at most; no coordinate leaves 0 to 1.
        """
        shape = columns.shape[1], len(point) // len(columns)

        def step_of(amounts: FloatArray) -> FloatArray:
            return np.clip(point + (columns @ amounts.reshape(shape)).ravel(), 0.0, 1.0) - point

        def value(amounts: FloatArray) -> tuple[float, FloatArray]:
            step = step_of(amounts)
            free = (point + step > 0.0) & (point + step < 1.0) | (amounts == 0.0).all()
            slope = np.where(free, self.slope + self.curved(step), 0.0)
            return -self.gain(step), (columns.T @ slope.reshape(len(columns), -1)).ravel()

        start = np.zeros(shape[0] * shape[1])
        bounds = [(-radius, radius)] * len(start)
        found = minimize(value, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 200})
        return step_of(found.x)

    def column_gain(self, point: FloatArray, column: FloatArray) -> float:
        """What the loss would fall by if the coordinates could also move along one more pattern, `units`."""
        stuck = ((point <= 0.0) & (self.slope > 0.0)) | ((point >= 1.0) & (self.slope < 0.0))
        slope = column @ np.where(stuck, 0.0, self.slope).reshape(len(column), -1)
        vectors = np.tensordot(column, self.vectors.reshape(len(column), len(slope), -1), axes=1)
        curvature = self.scale * (column @ column) * np.eye(len(slope)) + (vectors * self.signs) @ vectors.T
        return 0.5 * float(slope @ np.linalg.solve(curvature, slope))


def combined(models: Sequence[LocalModel], weights: FloatArray) -> LocalModel:
    """The model of the weighted sum of losses at one point; the weights are positive."""
    pairs = list(zip(models, weights.tolist(), strict=True))
    return LocalModel(
        slope=np.asarray(sum(weight * model.slope for model, weight in pairs), dtype=np.float64),
        scale=float(sum(weight * model.scale for model, weight in pairs)),
        vectors=np.hstack([model.vectors for model in models]),
        signs=np.concatenate([weight * model.signs for model, weight in pairs]),
    )
