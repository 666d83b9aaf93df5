"""The front that MAP predicts: a dense sample of the region and a filter, or NSGA-III on the surrogate beyond."""

from __future__ import annotations

from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from ..history import FloatArray
from .frame import Frame
from .model import Model, QuadraticModel
from .niches import evolve, reference_directions
from .pool import FILTERED, Pool

_LAYERS = 4  # rounds in which points that are not trusted make room for those they dominate


@dataclass(frozen=True)
class Front:
    """Points that no other is predicted to dominate.

    Attributes:
        x: float64, `points x dimension of x`.
        z: their surrogate coordinates, `points x coordinates`.
        latent: predicted objectives before the warp, smaller is better, `points x objectives`.
        losses: predicted objectives as the history has them, smaller is better, `points x objectives`.
    """

    x: FloatArray
    z: FloatArray
    latent: FloatArray
    losses: FloatArray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Front:
        return Front(self.x[rows], self.z[rows], self.latent[rows], self.losses[rows])


def predicted(model: Model, pool: Pool) -> Front:
    """The predictions of all points of a pool."""
    latent = model.latent(pool.z)
    return Front(pool.x, pool.z, latent, model.losses(latent))


def predicted_front(frame: Frame, model: Model, pool: Pool, rng: np.random.Generator) -> Front:
    """Non-dominated points of the pool, told before the warp, within the region and where the model is trusted.

    Beyond six objectives, an NSGA-III on the surrogate starts from them and, where the model is quadratic, from its
    analytic front; what it finds within the region is added to the pool.
    """
    everything = predicted(model, pool)
    objectives = everything.latent.shape[1]
    if objectives > FILTERED:
        directions = reference_directions(objectives)
        seeds = everything[moocore.is_nondominated(everything.latent, keep_weakly=True)]
        start = np.vstack([seeds.x, analytic_front(frame, model, directions)])

        def losses(x: FloatArray) -> FloatArray:
            outside = ~frame.inside(x)
            return model.latent(frame.coordinates(x)) + np.where(outside, 1e6, 0.0)[:, None]

        bred = evolve(losses, start, frame.space.bounds, directions, rng)
        bred = bred[frame.inside(bred)]
        found = predicted(model, Pool(bred, frame.coordinates(bred)))
        everything = join(everything, found)
    return trusted_front(model, everything)


def trusted_front(model: Model, points: Front) -> Front:
    """The non-dominated ones among the points where the model is trusted; without trust where it is nowhere."""
    left = points
    for _ in range(_LAYERS):
        on_front = moocore.is_nondominated(left.latent, keep_weakly=True)
        trusted = np.ones(len(left), dtype=np.bool_)
        trusted[on_front] = model.trusted(left.z[on_front])
        if trusted.all():
            return left[on_front]
        left = left[trusted]
        if not len(left):
            break
    trusted = model.trusted(points.z)
    kept = points[trusted] if trusted.any() else points
    return kept[moocore.is_nondominated(kept.latent, keep_weakly=True)]


def analytic_front(frame: Frame, model: Model, weights: FloatArray) -> FloatArray:
    """C(w) = -(Σ w A)⁻¹ Σ w b for each weighting, as x, where a quadratic model has a minimum there and it is inside.

    Args:
        frame: gives the space; its coordinates must be x itself, as they are in a box of one row.
        model: no other than a quadratic one has such a front.
        weights: not negative, `weightings x objectives`.
    """
    nothing = np.empty((0, frame.space.dimension))
    if not isinstance(model, QuadraticModel) or frame.dimension != frame.space.dimension:
        return nothing
    points = stationary_points(*model.coefficients(), weights)
    low, high = frame.space.bounds.T
    points = points[((points >= low) & (points <= high)).all(axis=1)]
    same = [np.allclose(frame.coordinates(point[None])[0], point) for point in points[:1]]
    return points[frame.inside(points)] if all(same) and len(points) else nothing


def stationary_points(linear: FloatArray, curvature: FloatArray, weights: FloatArray) -> FloatArray:
    """Minima of Σ wₙ (bₙ'c + c'Aₙc/2), float64, `minima x N`; weightings without a minimum are left out.

    Args:
        linear: b, `objectives x N`.
        curvature: A, symmetric, `objectives x N x N`.
        weights: `weightings x objectives`.
    """
    slopes, curvatures = weights @ linear, np.einsum("wn,nij->wij", weights, curvature)
    convex = np.linalg.eigvalsh(curvatures)[:, 0] > 0
    return -np.linalg.solve(curvatures[convex], slopes[convex][..., None])[..., 0]


def join(first: Front, second: Front) -> Front:
    """The points of both."""
    pairs = ((first.x, second.x), (first.z, second.z), (first.latent, second.latent), (first.losses, second.losses))
    return Front(*(np.vstack(pair) for pair in pairs))
