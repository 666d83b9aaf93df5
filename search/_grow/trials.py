"""The walk of a growing search without slopes: a process over what the stage's patterns tell apart, near the best."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..history import FloatArray, History
from ..pareto import deb_order
from .columns import Columns
from .coordinates import Coordinates

_FIRST_RADIUS, _LEAST_RADIUS = 0.25, 0.05
_CANDIDATES = 512


@dataclass(frozen=True)
class Stage:
    """Where the search stands.

    Attributes:
        best: the mean loss at the best trial so far.
        opened: the same when the stage began.
        columns: patterns over depth that the coordinates follow in this stage.
        radius: how far a coordinate may move from the best trial.
        vain: trials at this radius without a better one.
    """

    best: float
    opened: float
    columns: Columns
    radius: float = _FIRST_RADIUS
    vain: int = 0


def sampled_point(
    history: History, coordinates: Coordinates, margin: float, rng: np.random.Generator
) -> FloatArray | None:
    """The next point, float64, `dimension`, from 0 to 1; None where the last stage gained nothing beyond the noise.

    A stage ends when steps of every radius were in vain; then each block is halved. The next point has the highest
    expected improvement, by a Gaussian process, of those drawn about the best trial.

    Args:
        history: with at least one trial.
        coordinates: of its space.
        margin: standard errors of the mean objective below which a gain is noise.
        rng: draws the points that are compared.
    """
    stage = _reached(history, coordinates, margin)
    if stage is None:
        return None
    centre = coordinates.of(history.x[int(deb_order(history)[0])])
    points = _drawn(centre, stage, rng)
    telling = np.linalg.pinv(stage.columns.matrix)

    def told(rows: FloatArray) -> FloatArray:
        units = rows.reshape(len(rows), coordinates.units, -1)
        return np.asarray(np.einsum("pu,ruw->rpw", telling, units).reshape(len(rows), -1))

    improvement = _improvement(told(coordinates.of(history.x)), _ranked_losses(history), told(points))
    return np.asarray(points[int(np.argmax(improvement))])


def _reached(history: History, coordinates: Coordinates, margin: float) -> Stage | None:
    """The stage after all trials; None where the last one did not pay."""
    losses, first = _ranked_losses(history), max(1, history.baselines)
    best = float(losses[:first].min())
    stage: Stage | None = Stage(best, best, Columns(coordinates.units))
    for row in range(first, len(history)):
        if stage is None:
            return None
        better = losses[row] < stage.best
        stage = replace(stage, best=min(stage.best, float(losses[row])), vain=0 if better else stage.vain + 1)
        if stage.vain > stage.columns.matrix.shape[1] * coordinates.width // 2:
            stage = replace(stage, radius=0.5 * stage.radius, vain=0)
        if stage.radius < _LEAST_RADIUS:
            errors = np.nan_to_num(history.errors[row], posinf=0.0)
            stage = _next_stage(stage, margin * float(np.linalg.norm(errors)) / len(errors))
    return stage


def _next_stage(stage: Stage, noise: float) -> Stage | None:
    halved = stage.columns.halved()
    first = len(stage.columns.starts) == 1  # of which little is expected: most of it is among the baselines
    if len(halved.starts) == len(stage.columns.starts) or (not first and stage.opened - stage.best <= noise):
        return None
    return Stage(stage.best, stage.best, halved)


def _ranked_losses(history: History) -> FloatArray:
    """Mean losses, `trials`; those of trials below a floor are lifted above all others, by how much they miss it."""
    losses, missed = history.losses.mean(axis=1), history.total_violation
    return np.asarray(np.where(missed > 0, losses.max() + missed, losses), dtype=np.float64)


def _drawn(centre: FloatArray, stage: Stage, rng: np.random.Generator) -> FloatArray:
    """Points about the centre within the radius, `candidates x dimension`; half of them move few coordinates."""
    matrix, width = stage.columns.matrix, len(centre) // stage.columns.units
    amounts = rng.uniform(-stage.radius, stage.radius, (_CANDIDATES, matrix.shape[1], width))
    kept = rng.random(amounts.shape) < 0.3
    kept.reshape(_CANDIDATES, -1)[np.arange(_CANDIDATES), rng.integers(amounts[0].size, size=_CANDIDATES)] = True
    amounts[::2] *= kept[::2]
    moves = np.einsum("up,cpw->cuw", matrix, amounts).reshape(_CANDIDATES, -1)
    return np.asarray(np.clip(centre + moves, 0.0, 1.0))


def _improvement(known: FloatArray, losses: FloatArray, points: FloatArray) -> FloatArray:
    """Expected improvement (Jones et al. 1998, eq. 15) of each point over the least of the losses, `points`."""
    from scipy.stats import norm

    from ...surrogates.gaussian_process import GaussianProcessSurrogate

    if len(known) < 3 or np.ptp(losses) == 0.0:
        return np.zeros(len(points))  # nothing to model: the first point drawn is as good as any
    process = GaussianProcessSurrogate(warp="identity").fit(known, losses)
    mean, deviation = process.predict(points, return_std=True)
    deviation = np.maximum(deviation, 1e-12)
    gain = (losses.min() - mean) / deviation
    return np.asarray(deviation * (gain * norm.cdf(gain) + norm.pdf(gain)))
