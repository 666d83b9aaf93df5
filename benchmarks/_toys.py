"""Trajectories whose best combination of snapshots is known, for the search of affine coefficients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from mergesearch.search.history import History
from mergesearch.search.lcsc import Lcsc
from mergesearch.spaces.space import Space

FloatArray = NDArray[np.float64]
_PENALTY = 1e4  # weight of the row that makes non-negative least squares sum to one


@dataclass(frozen=True)
class Trajectory:
    """Snapshots, and a loss that is the squared distance of their combination from a target.

    Attributes:
        snapshots: float64, `snapshots x dimension`, oldest first, in coordinates of curvature one.
        target: where the loss is zero, `dimension`.
    """

    snapshots: FloatArray
    target: FloatArray

    def loss(self, row: FloatArray) -> float:
        """Squared distance of the combination with these coefficients, `snapshots`."""
        return float(np.sum((row @ self.snapshots - self.target) ** 2))

    def convex_optimum(self) -> float:
        """The lowest loss of coefficients that are not negative and sum to one."""
        count = len(self.snapshots)
        matrix = np.vstack([(self.snapshots - self.target).T, np.full((1, count), _PENALTY)])
        row, _ = nnls(matrix, np.append(np.zeros(len(matrix) - 1), _PENALTY))
        return self.loss(row / row.sum())


def extrapolation(seed: int) -> Trajectory:
    """40 snapshots on the way from 0 to a unit vector u, with noise; the target, 1.5·u, lies beyond them."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=200)
    unit /= np.linalg.norm(unit)
    noise = 0.05 * rng.normal(size=(40, 200)) / np.sqrt(200)
    return Trajectory(np.arange(1, 41)[:, None] / 40 * unit + noise, 1.5 * unit)


def noisy_descent(seed: int) -> Trajectory:
    """40 snapshots of noisy gradient descent that has reached the minimum of a quadratic, and circles it."""
    rng = np.random.default_rng(seed)
    curvature = np.geomspace(0.05, 1.0, 200)
    theta, kept = 5.0 * rng.normal(size=200) / np.sqrt(200), []
    for step in range(1, 2001):
        theta = theta - 0.1 * (curvature * theta + rng.normal(size=200))
        if step % 50 == 0:
            kept.append(theta)
    return Trajectory(np.sqrt(curvature) * np.array(kept), np.zeros(200))


def evolve(
    searcher: Lcsc, space: Space, loss: Callable[[FloatArray], float], trials: int
) -> tuple[FloatArray, FloatArray]:
    """Search a space of one row without noise: coefficients, `trials x members`, and their losses, `trials`."""
    x, losses = np.empty((trials, space.dimension)), np.empty((trials, 1))
    nothing, nowhere = np.empty((trials, 0)), np.empty((0, space.dimension))
    for number in range(trials):
        past = slice(number)
        history = History(space, number, x[past], losses[past], np.zeros_like(losses[past]), nothing[past], nowhere)
        proposed = searcher.ask(history)
        assert proposed is not None
        x[number] = proposed
        losses[number] = loss(space.table(proposed).members[0])
    return np.array([space.table(one).members[0] for one in x]), losses[:, 0]
