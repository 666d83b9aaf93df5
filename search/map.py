"""MAP: learns every objective as a function of the coefficients from few merges, and proposes the front it predicts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import Literal

import numpy as np

from ..errors import InputError
from ..surrogates.shared_process import SharedProcess
from ._map.frame import Frame
from ._map.front import Front, predicted_front
from ._map.model import Kind, Model, fitted
from ._map.options import one_of, scale_of
from ._map.pool import Pool, framed
from ._map.spread import spread
from .history import FloatArray, History
from .searcher import Searcher, generator

_SHELL = (0.2, 2.0)
_LARGEST_DESIGN = 90  # trials before the first front beyond eight coordinates, where a ridge takes over


class Map(Searcher):
    """Model merging with amortised Pareto fronts (Li et al. 2024, https://arxiv.org/abs/2406.07529).

    A design covers the region; a surrogate per objective is fitted to it; points spread over the predicted front are
    evaluated, batch by batch, each followed by a new fit. Where every objective has a differentiable loss, the
    surrogates follow its coefficient gradients, and the canonical points and one more are design enough.

    Args:
        seed: seed of the run.
        design: trials before the first front, baselines included; where left out, N + 3 with gradients and
            (N + 1)(N + 2) without, as in the paper, for N coordinates, at most 90 or twice N.
        batch: points of each predicted front that are evaluated before the next fit; N + 1 where left out.
        surrogate: without gradients: `quadratic`, as published, or `process`.
        scale: lowest and highest sum of a row in the design; the reference fronts of 2, 4 and 8 digit experts other
            than the reported ones lay between 1.0 and 2.7, nine in ten below 2.2.
        region: `shell`, or `space` for designs over the whole space.
        gradients: `used` where there are any, `unused`, or `needed`.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        design: int | None = None,
        batch: int | None = None,
        surrogate: Kind = "quadratic",
        scale: Sequence[float] = _SHELL,
        region: Literal["shell", "space"] = "shell",
        gradients: Literal["used", "unused", "needed"] = "used",
    ) -> None:
        super().__init__(seed)
        one_of("surrogate", surrogate, ("quadratic", "process"))
        one_of("region", region, ("shell", "space"))
        one_of("gradients", gradients, ("used", "unused", "needed"))
        if (design is not None and design < 2) or (batch is not None and batch < 1):
            raise InputError(f"design is {design} and batch {batch}; give at least 2 trials, and 1")
        self.design, self.batch, self.surrogate, self.region = design, batch, surrogate, region
        self.scale = scale_of(scale)
        self.gradients = gradients
        self._fronts: dict[bytes, tuple[Model, Front]] = {}

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next point of the design, or of the front that all finished rounds predict, `dimension`."""
        if not history.space.dimension:
            return np.empty(0)
        frame = self.frame(history)
        first = self.design_size(history)
        if len(history) < first:
            return self._fresh(frame, history, chain(frame.canonical(), _from(frame, history.number)))
        rows = len(history) - (len(history) - first) % self.batch_size(frame)
        chosen = (frame.settled(x) for x in self.chosen(history, rows))
        return self._fresh(frame, history, chain(chosen, _from(frame, history.number)))

    def front(self, history: History) -> Front:
        """The front predicted from all trials of a history.

        Raises:
            InputError: there are fewer than 2 trials.
        """
        if len(history) < 2:
            raise InputError(f"{len(history)} trials predict no front; finish at least 2")
        return self.predicted(history, len(history))[1]

    def forecasts(self, history: History) -> dict[int, FloatArray]:
        """What the front's rounds predicted of their trials, by row of the history; nothing of baselines."""
        if not history.space.dimension:
            return {}
        found: dict[int, FloatArray] = {}
        frame = self.frame(history)
        size = self.batch_size(frame)
        for start in range(self.design_size(history), len(history), size):
            rows = range(max(start, history.baselines), min(start + size, len(history)))
            if rows:
                model, _ = self.predicted(history, start)
                losses = model.losses(model.latent(frame.coordinates(history.x[rows.start : rows.stop])))
                found.update(zip(rows, losses, strict=True))
        return found

    def chosen(self, history: History, rows: int) -> FloatArray:
        """Points to evaluate once `rows` trials are finished, best first, x, `points x dimension`."""
        front = self.predicted(history, rows)[1]
        return front.x[spread(front.losses, history.losses[:rows], 2 * self.batch_size(self.frame(history)))]

    def predicted(self, history: History, rows: int) -> tuple[Model, Front]:
        """The model of the first `rows` trials and its front."""
        key = _key(history, rows)
        if key not in self._fronts:
            frame, pool = self.frame(history), self.pool(history)
            model = fitted(frame, history, rows, self.surrogate)
            pool = _permitted(pool.joined(frame, history.x[:rows]), frame, history, rows)
            self._fronts[key] = model, predicted_front(frame, model, pool, generator(self.seed, rows, 2))
            while len(self._fronts) > 4:
                del self._fronts[next(iter(self._fronts))]
        return self._fronts[key]

    def frame(self, history: History) -> Frame:
        """Region and coordinates of the history's space."""
        return framed(history.space, self.seed, self.scale if self.region == "shell" else None)[0]

    def pool(self, history: History) -> Pool:
        """The sample of the region that fronts are taken from."""
        frame, pools = framed(history.space, self.seed, self.scale if self.region == "shell" else None)
        objectives = history.losses.shape[1]
        if objectives not in pools:
            pools[objectives] = Pool.of(frame, objectives)
        return pools[objectives]

    def design_size(self, history: History) -> int:
        """Trials before the first front, baselines included."""
        if self.design is not None:
            return self.design
        n = self.frame(history).dimension
        return n + 3 if history.guides is not None else min((n + 1) * (n + 2), max(_LARGEST_DESIGN, 2 * n))

    def batch_size(self, frame: Frame) -> int:
        """Trials between two fits."""
        return self.batch or frame.dimension + 1

    def _fresh(self, frame: Frame, history: History, points: Iterator[FloatArray]) -> FloatArray | None:
        """The first point that was not tried; None where a long stretch of them holds none, as on a coarse grid."""
        return next((x for x in islice(points, 4096) if not history.tried(x)), None)


def _from(frame: Frame, number: int) -> Iterator[FloatArray]:
    """The region's design from point `number` on."""
    return (frame.settled(x) for x in islice(frame.points(1), number, None))


def _permitted(pool: Pool, frame: Frame, history: History, rows: int) -> Pool:
    """The points predicted to keep all floors; the nearest to them where none is."""
    if not history.violations.shape[1]:
        return pool
    z = frame.coordinates(history.x[:rows])
    missed = np.maximum(SharedProcess().fit(z, history.violations[:rows]).predict(pool.z), 0.0).sum(axis=1)
    kept = missed <= 0.0 if (missed <= 0.0).any() else missed <= np.quantile(missed, 0.01)
    return Pool(pool.x[kept], pool.z[kept])


def _key(history: History, rows: int) -> bytes:
    parts = [history.x, history.losses, history.errors, history.violations]
    if history.guides is not None:
        parts += [history.guides.losses, history.guides.slopes]
    digest = hashlib.sha256(str((rows, history.losses.shape[1])).encode())
    for part in parts:
        digest.update(np.ascontiguousarray(part[:rows]).tobytes())
    return digest.digest()
