"""Bayesian MAP: spends its trials one small batch after another where the predicted front is still uncertain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._map.expected import expected_hypervolume, uncertainty
from ._map.frame import Frame
from ._map.front import Front, join, predicted
from ._map.model import Kind, Model
from ._map.pool import Pool
from .history import FloatArray, History
from .map import _SHELL, Map

_CANDIDATES = 512
_FLOOR = 0.1  # share of the probability that all regions share alike
_TEMPERATURE = 0.5  # in standard deviations of the regions' scores
_NUDGE = 0.002  # of each coordinate's range, so that a trial after a failed one does not stand where that one stood


class BayesianMap(Map):
    """MAP whose design is only half as large; the rest is proposed from what the surrogates do not know yet.

    Every trial draws a region: a member that leads, and a scale above or below the middle one. Regions with better
    points are likelier, and none has probability zero (as in the paper's Bayesian MAP, by bins of angles). Within its
    region the best point under the acquisition is taken.

    Args:
        seed: seed of the run.
        design: trials before the first model, baselines included; where left out, N + 2 with gradients, and half of
            those of `map` without.
        batch: trials between two fits; (N + 1)/2 where left out, at least 2.
        surrogate: without gradients: `process` or `quadratic`.
        acquisition: `hypervolume`, its expected improvement, or `uncertainty` near the predicted front.
        scale: as for `map`.
        region: as for `map`.
        gradients: as for `map`.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        design: int | None = None,
        batch: int | None = None,
        surrogate: Kind = "process",
        acquisition: Literal["hypervolume", "uncertainty"] = "hypervolume",
        scale: Sequence[float] = _SHELL,
        region: Literal["shell", "space"] = "shell",
        gradients: Literal["used", "unused", "needed"] = "used",
    ) -> None:
        super().__init__(seed, design, batch, surrogate, scale, region, gradients)
        if acquisition not in ("uncertainty", "hypervolume"):
            raise InputError(f"acquisition is {acquisition!r}; give uncertainty or hypervolume")
        self.acquisition = acquisition
        self._valued: tuple[Model, Front, FloatArray] | None = None  # of the round under way

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next point of the design, or the best one of a region that is drawn, `dimension`."""
        frame = self.frame(history) if history.space.dimension else None
        if frame is None or len(history) < self.design_size(history):
            return super().propose(history, rng)
        rows = len(history) - (len(history) - self.design_size(history)) % self.batch_size(frame)
        candidates, values = self.valued(history, rows)
        since = frame.coordinates(history.x[rows:])
        values = values * _unlike(candidates.z, since, frame.coordinates(history.x[:rows]))
        regions = regions_of(self.tables(history, candidates.x))
        present = np.unique(regions)
        best = np.array([values[regions == one].max() for one in present])
        drawn = present[rng.choice(len(present), p=probabilities(best))]
        order = np.argsort(-np.where(regions == drawn, values, values - values.max() - 1.0), kind="stable")
        low, high = history.space.bounds.T
        nudges = rng.uniform(-_NUDGE, _NUDGE, (len(order), len(low))) * (high - low)
        points = (frame.settled(x) for x in candidates.x[order] + nudges)
        return next((x for x in points if not history.tried(x)), None)

    def valued(self, history: History, rows: int) -> tuple[Front, FloatArray]:
        """Candidates of the round that starts after `rows` trials, and how much each is worth evaluating."""
        model, front = self.predicted(history, rows)
        if self._valued is None or self._valued[0] is not model:
            self._valued = model, *self._value(history, rows, model, front)
        return self._valued[1:]

    def _value(self, history: History, rows: int, model: Model, front: Front) -> tuple[Front, FloatArray]:
        pool, known = self.pool(history), history.losses[:rows]
        some = Pool(pool.x[:_CANDIDATES], pool.z[:_CANDIDATES])
        spread_out = np.arange(0, len(front), max(1, len(front) // _CANDIDATES))
        candidates = join(predicted(model, some), front[spread_out])
        mean, std = model.moments(candidates.z)
        if self.acquisition == "uncertainty":
            return candidates, uncertainty(model.losses, mean, std, front.losses, known)
        return candidates, expected_hypervolume(model.losses, mean, std, known)

    def design_size(self, history: History) -> int:
        """Trials before the first model, baselines included."""
        if self.design is not None:
            return self.design
        n = self.frame(history).dimension
        return n + 2 if history.guides is not None else super().design_size(history) // 2

    def batch_size(self, frame: Frame) -> int:
        """Trials between two fits."""
        return self.batch or max(2, (frame.dimension + 1) // 2)

    def tables(self, history: History, x: FloatArray) -> FloatArray:
        """Mean row of each x's table, `points x members`."""
        space = history.space
        tables = self.frame(history).tables(x).reshape(len(x), space.groups, space.members)
        return np.asarray(tables.mean(axis=1), dtype=np.float64)


def regions_of(rows: FloatArray) -> NDArray[np.intp]:
    """The region of each row, `points x members` → `points`: its leading member, and whether its sum is large."""
    total = rows.sum(axis=1)
    return np.asarray(2 * rows.argmax(axis=1) + (total > np.median(total)), dtype=np.intp)


def probabilities(scores: FloatArray) -> FloatArray:
    """Probability of each region by its score, `regions`: softmax on their own scale, and none below a floor."""
    spread = float(scores.std())
    likely = np.exp((scores - scores.max()) / (_TEMPERATURE * spread)) if spread > 0 else np.ones(len(scores))
    return np.asarray((1.0 - _FLOOR) * likely / likely.sum() + _FLOOR / len(scores), dtype=np.float64)


def _unlike(z: FloatArray, since: FloatArray, known: FloatArray) -> FloatArray:
    """How unlike each candidate is to what this round has tried already, `points`, from 0 to 1."""
    if not len(since):
        return np.ones(len(z))
    reach = max(float(known.std(axis=0).max()), 1e-9)
    near = (((z[:, None] - since) / reach) ** 2).sum(axis=-1).min(axis=1)
    return np.asarray(np.sqrt(-np.expm1(-near)), dtype=np.float64)
