"""The walk of a growing search along slopes: one state per trial, each from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..history import FloatArray, Guides, History
from .columns import Columns
from .coordinates import Coordinates
from .links import link_slopes
from .model import LocalModel, combined

_FIRST_RADIUS, _LEAST_RADIUS = 0.2, 0.004
_GOOD, _POOR = 0.75, 0.25  # of the gain that was foretold: above, the radius doubles; below, it is halved
_SHARE = 0.5  # of the best pattern's gain, above which another block gets a pattern in the same stage


@dataclass(frozen=True)
class Walk:
    """Where the search stands.

    Attributes:
        row: the trial that it stands at.
        models: one of each objective's steering loss, around that trial.
        columns: patterns over depth that the coordinates follow in this stage.
        radius: how far a coordinate may move in the next step.
    """

    row: int
    models: tuple[LocalModel, ...]
    columns: Columns
    radius: float = _FIRST_RADIUS


@dataclass(frozen=True)
class Walker:
    """The rules of a walk through a history.

    Attributes:
        history: trials that all have slopes.
        guides: of its trials.
        coordinates: of its space.
        slopes: ∂loss/∂coordinates, `trials x objectives x dimension`.
        margin: standard errors of the mean objective below which a gain is noise.
    """

    history: History
    guides: Guides
    coordinates: Coordinates
    slopes: FloatArray
    margin: float

    def start(self, count: int) -> Walk:
        """Stand at the best of the first `count` trials, and learn curvature from the others, the nearest last."""
        violations, means = self.history.total_violation[:count], self.history.losses[:count].mean(axis=1)
        row = int(np.lexsort([means, violations])[0])
        steps = self.coordinates.of(self.history.x[:count]) - self._point(row)
        apart = np.linalg.norm(steps, axis=1)
        others = [int(other) for other in np.argsort(-apart, kind="stable") if apart[other] > 0]
        models = tuple(
            self._model(self.slopes[row, objective], [(steps[o], self.slopes[o, objective]) for o in others])
            for objective in range(self.slopes.shape[1])
        )
        return Walk(row, models, Columns(self.coordinates.units))

    def next(self, walk: Walk, row: int) -> Walk:
        """The walk after the trial in this row: in the stage that paid before it, with what it told."""
        return self.after(self.onward(walk, row)[0], row)

    def after(self, walk: Walk, row: int) -> Walk:
        """Learn from the trial in this row, and go on to it where it is better."""
        step = self._point(row) - self._point(walk.row)
        if not step.any():
            return walk
        weights = self._weights(walk.row, row + 1)
        foretold = combined(walk.models, weights).gain(step)
        gained = float(weights @ (self.guides.losses[walk.row] - self.guides.losses[row]))
        worse = float(self.history.total_violation[row] - self.history.total_violation[walk.row])
        pairs = list(zip(walk.models, self.slopes[row], strict=True))
        learned = [model.learned(step, slope - model.slope) for model, slope in pairs]
        radius = walk.radius
        if gained < _POOR * foretold or worse > 0:
            radius = 0.5 * min(radius, float(np.abs(step).max()))
        elif gained > _GOOD * foretold and float(np.abs(step).max()) > 0.9 * radius:
            radius = min(1.0, 2.0 * radius)
        if worse > 0 or (worse == 0 and gained <= 0):
            return replace(walk, models=tuple(learned), radius=radius)
        moved = [replace(model, slope=slope) for model, (_, slope) in zip(learned, pairs, strict=True)]
        return Walk(row, tuple(moved), walk.columns, radius)

    def onward(self, walk: Walk, count: int) -> tuple[Walk, FloatArray | None]:
        """The walk in the stage that pays, after `count` trials, and its next point; None where no stage does."""
        weights, noise, point = self._weights(walk.row, count), self._noise(walk.row, count), self._point(walk.row)
        model = combined(walk.models, weights)
        while True:
            step = model.best_step(point, walk.columns.matrix, walk.radius)
            if walk.radius > _LEAST_RADIUS and model.gain(step) > noise:
                return walk, point + step
            columns = _finer(walk.columns, model, point, noise)
            if columns is None:
                return walk, None
            walk = replace(walk, columns=columns, radius=max(walk.radius, _FIRST_RADIUS))

    def _model(self, slope: FloatArray, others: Sequence[tuple[FloatArray, FloatArray]]) -> LocalModel:
        """Of one loss with this slope, from (step, slope there) of other trials, the most telling one last."""
        bends = [float(step @ (there - slope)) / float(step @ step) for step, there in others]
        # A loss follows the sum of the units more than their differences, which no trial has told apart yet.
        bend = next((one / self.coordinates.units for one in reversed(bends) if one > 0), None)
        steepest = float(np.abs(slope).max()) or 1.0
        model = LocalModel.at(slope, steepest / _FIRST_RADIUS if bend is None else bend)
        for step, there in others:
            model = model.learned(step, there - slope)
        return model

    def _weights(self, row: int, count: int) -> FloatArray:
        """Weight of each steering loss in the mean objective about a trial, told by the first `count` trials."""
        links = link_slopes(self.guides.losses[:count], self.history.losses[:count], row)
        return links / len(links)

    def _noise(self, row: int, count: int) -> float:
        """Gain of the mean objective that tells nothing; above what rounding makes of it."""
        errors = np.nan_to_num(self.history.errors[row], posinf=0.0)
        spread = float(np.ptp(self.history.losses[:count].mean(axis=1)))
        return max(self.margin * float(np.linalg.norm(errors)) / len(errors), 1e-4 * spread, 1e-12)

    def _point(self, row: int) -> FloatArray:
        return self.coordinates.of(self.history.x[row])


def _finer(columns: Columns, model: LocalModel, point: FloatArray, noise: float) -> Columns | None:
    """With the best further pattern in each block where one pays about as much as anywhere; None where none pays."""
    best: dict[tuple[int, int], tuple[float, Columns]] = {}
    for block, finer, pattern in columns.finer():
        gain = model.column_gain(point, pattern)
        if block not in best or gain > best[block][0]:
            best[block] = gain, finer
    if sum(gain for gain, _ in best.values()) <= noise:
        return None
    least = _SHARE * max(gain for gain, _ in best.values())
    for gain, finer in best.values():
        columns = columns.joined(finer) if gain >= least else columns
    return columns
