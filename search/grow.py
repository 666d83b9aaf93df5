"""Grow: one coefficient per member first, then blocks of layers, then layers, as far as it pays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np

from ..errors import InputError
from ._grow.coordinates import Coordinates
from ._grow.trials import sampled_point
from ._grow.walk import Walk, Walker
from .history import FloatArray, Guides, History
from .searcher import Searcher


class Grow(Searcher):
    """Searches a fine space through coarse ones: stage by stage, each from the last one's best.

    The first stage ties all groups. With coefficient gradients a stage takes steps of a quasi-Newton method (BFGS)
    within a trust region, from all that earlier trials told of slope and curvature; when no step gains more than the
    noise, the blocks in which another pattern over depth (a cut in two, or a line) gains most get it. Where no pattern
    does, the search ends. The losses that steer are weighted by how much their objectives follow them, told by the
    trials. Without gradients a stage is a Gaussian process near the best trial, and every block is halved.

    Minimises the plain mean of the objectives; those of several units want `scalarise: mean`. A step that breaks a
    floor is taken back, and shorter ones follow. Groups, or the knots of a curve over depth, are taken in their order;
    a space of one row has one stage.

    Args:
        seed: seed of the run; only a search without gradients draws from it.
        margin: what counts as noise, in standard errors of the mean objective. They are those of one score; what two
            neighbours differ by on the same samples is known far better, and their steering losses better still.
        gradients: `used` where every objective has a differentiable loss, `unused` or `needed`.

    Raises:
        InputError: the margin is negative.
    """

    def __init__(
        self, seed: int = 0, margin: float = 0.01, gradients: Literal["used", "unused", "needed"] = "used"
    ) -> None:
        super().__init__(seed)
        self.gradients = gradients
        if not margin >= 0 or gradients not in ("used", "unused", "needed"):
            raise InputError(
                f"margin is {margin} and gradients '{gradients}'; give zero or more standard errors, and one of used, "
                "unused and needed"
            )
        self.margin = margin
        # What follows from the beginning of a history, by its content: it saves time and changes nothing.
        self._walks: dict[bytes, Walk] = {}
        self._slopes: dict[bytes, FloatArray] = {}

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next x, float64, `dimension`; None where no further stage pays."""
        if not history.space.dimension:
            return np.empty(0)
        coordinates = Coordinates(history.space)
        if not len(history):
            return next((x for x in coordinates.starts() if not history.tried(x)), None)
        guided = None if self.gradients == "unused" else _with_slopes(history)
        if guided is None:
            point = sampled_point(history, coordinates, self.margin, rng)
            return None if point is None else coordinates.x(point)
        walker = self._walker(guided[0], guided[1], coordinates)
        walk, point = walker.onward(self._walk(walker), len(guided[0]))
        if point is None:
            return None
        here = coordinates.of(guided[0].x[walk.row])
        # What failed, or is being evaluated elsewhere, is not asked for again: a shorter step is.
        nearer = (coordinates.x(here + 0.5**halvings * (point - here)) for halvings in range(8))
        return next((x for x in nearer if not history.tried(x)), None)

    def _walker(self, history: History, guides: Guides, coordinates: Coordinates) -> Walker:
        slopes = []
        for x, given in zip(history.x, guides.slopes, strict=True):
            key = x.tobytes() + given.tobytes()
            if key not in self._slopes:
                self._slopes[key] = coordinates.slopes(x, given)
            slopes.append(self._slopes[key])
        return Walker(history, guides, coordinates, np.stack(slopes), self.margin)

    def _walk(self, walker: Walker) -> Walk:
        """The walk through all trials, from the last one that is known."""
        history, first = walker.history, max(1, walker.history.baselines)
        content = (history.x, history.losses, history.errors, history.violations, walker.guides.losses, walker.slopes)
        digest = hashlib.sha256(history.space.bounds.tobytes() + str(first).encode())
        for row in range(first):
            digest.update(b"".join(part[row].tobytes() for part in content))
        walk = self._known(digest.digest(), partial(walker.start, first))
        for row in range(first, len(history)):
            digest.update(b"".join(part[row].tobytes() for part in content))
            walk = self._known(digest.digest(), partial(walker.next, walk, row))
        return walk

    def _known(self, key: bytes, walk: Callable[[], Walk]) -> Walk:
        if key not in self._walks:
            self._walks[key] = walk()
        return self._walks[key]


def _with_slopes(history: History) -> tuple[History, Guides] | None:
    """The trials that have slopes, and their guides; None where there are none."""
    if history.guides is None:
        return None
    losses, slopes = history.guides.losses, history.guides.slopes
    known = np.asarray(np.isfinite(np.hstack([losses, slopes.reshape(len(losses), -1)])).all(axis=1), dtype=np.bool_)
    if not known.any():
        return None
    guides = Guides(losses[known], slopes[known])
    kept = replace(
        history,
        x=history.x[known],
        losses=history.losses[known],
        errors=history.errors[known],
        violations=history.violations[known],
        guides=guides,
        baselines=int(known[: history.baselines].sum()),
    )
    return kept, guides
