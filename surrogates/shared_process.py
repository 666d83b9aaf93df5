"""Shared process: Gaussian processes of several metrics over the same points, given values and slopes alike.

All metrics are measured at the same points, so one Cholesky factor per kernel serves them all: where fits follow one
another, as in a sequential search, this is what makes a process with slopes affordable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular

FloatArray = NDArray[np.float64]

LENGTHS = np.geomspace(0.2, 2.5, 9)  # in units of the points' reach: merges change character over a part of it
NOISES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_SLOPE_NOISE = 3.0  # beside that of a value, times the kernel's own ratio of slopes to values
_JITTER = 1e-10
_ROWS = 4096  # points predicted at once


@dataclass(frozen=True)
class _Factor:
    """One kernel: its length, relative noise, factor, whitened constant, and log determinant."""

    length: float
    root: FloatArray
    constant: FloatArray
    log_determinant: float


@dataclass(frozen=True)
class _Part:
    """The metrics that chose one kernel: their columns, weights of the equations, constants and variances."""

    factor: _Factor
    columns: NDArray[np.intp]
    weights: FloatArray
    means: FloatArray
    variances: FloatArray


@dataclass
class SharedProcess:
    """z(c) = μ + a process with an RBF kernel, for each of several metrics (Rasmussen and Williams 2006, 5.4, 9.4).

    Length and noise are chosen for each metric from grids, by marginal likelihood; μ and the variance follow in closed
    form.

    Attributes:
        lengths: candidates for the length scale, in units of the points' largest standard deviation times 2.
        noises: candidates for the noise of a value, relative to the variance.
    """

    lengths: tuple[float, ...] = tuple(LENGTHS.tolist())
    noises: tuple[float, ...] = NOISES
    _points: FloatArray = field(init=False, repr=False)
    _known: NDArray[np.bool_] = field(init=False, repr=False)
    _parts: list[_Part] = field(init=False, repr=False)
    _limit: FloatArray | None = field(init=False, repr=False, default=None)

    def fit(self, points: FloatArray, values: FloatArray, slopes: FloatArray | None = None) -> Self:
        """Fit to latent values and slopes.

        Args:
            points: `points x N`.
            values: `points x metrics`.
            slopes: ∂value/∂point, `points x metrics x N`; NaN where a point's are unknown, None where all are.
        """
        self._points = points
        given = np.full((*values.shape, points.shape[1]), np.nan) if slopes is None else slopes
        targets = np.concatenate([values[:, :, None], given], axis=2)
        known = np.isfinite(targets).all(axis=1)  # points x (N + 1)
        self._known = known.ravel()
        reach = 2.0 * float(points.std(axis=0).max(initial=0.0)) or 1.0
        rows = targets.transpose(0, 2, 1).reshape(-1, values.shape[1])[self._known]
        factors = [self._factor(length * reach, noise) for length in self.lengths for noise in self.noises]
        losses = np.stack([_conditioned(factor, rows)[0] for factor in factors])
        best = losses.argmin(axis=0)
        chosen = [(factors[kernel], np.flatnonzero(best == kernel)) for kernel in np.unique(best)]
        self._parts = [_Part(f, columns, *_conditioned(f, rows[:, columns])[1:]) for f, columns in chosen]
        self._limit = None
        return self

    def predict(self, points: FloatArray) -> FloatArray:
        """Latent means, `points x metrics`."""
        return self._moments(points, False)[0]

    def moments(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Latent means and standard deviations, `points x metrics` each."""
        return self._moments(points, True)

    def trusted(self, points: FloatArray) -> NDArray[np.bool_]:
        """Whether each point is no more uncertain than some fitted point is to the others, `points`."""
        if self._limit is None:
            self._limit = self._left_out_std().max(axis=0)
        return np.asarray((self.moments(points)[1] <= self._limit * (1.0 + 1e-9)).all(axis=1))

    def _moments(self, points: FloatArray, with_std: bool) -> tuple[FloatArray, FloatArray]:
        means, stds = np.empty((2, len(points), sum(len(part.columns) for part in self._parts)))
        for part in self._parts:
            for first in range(0, len(points), _ROWS):
                rows = np.s_[first : first + _ROWS]
                cross = _cross(points[rows], self._points, part.factor.length)[:, self._known]
                means[rows, part.columns] = part.means + cross @ part.weights
                if with_std:
                    white = solve_triangular(part.factor.root, cross.T, lower=True)
                    left = np.maximum(1.0 - (white**2).sum(axis=0), 0.0)
                    stds[rows, part.columns] = np.sqrt(part.variances * left[:, None])
        return means, stds

    def _left_out_std(self) -> FloatArray:
        """Standard deviation of each point's value given all equations of the others, `points x metrics`."""
        size = self._points.shape[1] + 1
        owner = np.repeat(np.arange(len(self._points)), size)[self._known]
        out = np.empty((len(self._points), sum(len(part.columns) for part in self._parts)))
        for part in self._parts:
            half = solve_triangular(part.factor.root, np.eye(len(owner)), lower=True)
            for point in range(len(self._points)):
                own = half[:, owner == point]
                out[point, part.columns] = np.sqrt(part.variances * np.linalg.inv(own.T @ own)[0, 0])
        return out

    def _factor(self, length: float, noise: float) -> _Factor:
        points, size = self._points, self._points.shape[1] + 1
        covariance = _covariance(points, length)[np.ix_(self._known, self._known)]
        each = np.append(noise, np.full(size - 1, noise * _SLOPE_NOISE / length**2))
        covariance[np.diag_indices(len(covariance))] += np.tile(each, len(points))[self._known] + _JITTER
        root = cholesky(covariance, lower=True, overwrite_a=True)
        is_value = (np.arange(len(self._known)) % size == 0)[self._known].astype(np.float64)
        constant = solve_triangular(root, is_value, lower=True)
        return _Factor(length, root, constant, 2.0 * float(np.log(np.diag(root)).sum()))


def _conditioned(factor: _Factor, targets: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Condition each metric, `rows x metrics`, on its equations: generalised least squares, then the variance.

    Returns:
        Twice the negative log evidence, weights of the equations, constants and variances of the metrics.
    """
    white = solve_triangular(factor.root, targets, lower=True)
    means = factor.constant @ white / (factor.constant @ factor.constant)
    rest = white - np.outer(factor.constant, means)
    variances = np.maximum((rest**2).sum(axis=0) / len(targets), 1e-18)
    losses = len(targets) * np.log(variances) + factor.log_determinant
    return losses, solve_triangular(factor.root, rest, lower=True, trans="T"), means, variances


def _cross(first: FloatArray, second: FloatArray, length: float) -> FloatArray:
    """Covariance of values at `first` with values and slopes at `second`, `points x others·(N + 1)`."""
    step = (first[:, None] - second[None]) / length
    kernel = np.exp(-0.5 * np.einsum("ijk,ijk->ij", step, step))
    out = np.empty((*kernel.shape, first.shape[1] + 1))
    out[:, :, 0] = kernel
    np.multiply(kernel[:, :, None], step / length, out=out[:, :, 1:])
    return out.reshape(len(first), -1)


def _covariance(points: FloatArray, length: float) -> FloatArray:
    """Covariance of values and slopes at the points, point by point, `points·(N + 1)` squared."""
    count, dimension = points.shape
    step = (points[:, None] - points[None]) / length
    kernel = np.exp(-0.5 * (step**2).sum(axis=-1))
    out = np.empty((count, dimension + 1, count, dimension + 1))
    out[:, 0, :, 0] = kernel
    out[:, 0, :, 1:] = kernel[:, :, None] * step / length
    out[:, 1:, :, 0] = -np.swapaxes(out[:, 0, :, 1:], 1, 2)
    curved = np.eye(dimension) - step[:, :, :, None] * step[:, :, None, :]
    out[:, 1:, :, 1:] = np.moveaxis(kernel[:, :, None, None] * curved / length**2, 2, 1)
    return out.reshape(count * (dimension + 1), -1)
