"""Nested MAP: merges two at a time, so that each surrogate has two coefficients; for a preference that is known."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from ..errors import InputError
from ._map.climb import Climb, Nest, Side, require_merges
from ._map.frame import Frame
from ._map.front import predicted_front
from ._map.members import members
from ._map.model import Kind, fitted
from ._map.options import one_of, scale_of
from ._map.pool import Pool
from .history import FloatArray, History
from .searcher import Searcher, generator

_SAMPLES, _GUIDED_SAMPLES = 20, 10
_CANDIDATES = 4_096
_LEAST = 3  # trials of a node without which its sides are averaged
_RHO = 0.05  # what the augmented Chebyshev distance adds of the mean


class NestedMap(Searcher):
    """Merges the two nodes with the nearest scores, again and again (Li et al. 2024, section on nested merging).

    A node's two sides are rows of coefficients; merges a·left + b·right are sampled, surrogates of the objectives
    under the node are fitted over (a, b), and the preferred point of their front is the row with which the next merge
    goes on. All rows are tied over the groups. Every merge that was evaluated serves whatever needs it later, so that
    a second preference pays for nothing below the first choice that it makes differently.

    Args:
        seed: seed of the run.
        preferences: weights of the objectives, one list for each preference; the mean where left out.
        samples: merges sampled at each node; 20 as in the paper's code, 10 where gradients are followed.
        balanced: pair all nodes before any merge is merged again: N log N dataset-evaluations, where the nearest
            scores alone may need N²; see `_map/tree.py`.
        choice: how a preference picks from a front: `chebyshev` (augmented), which reaches all of it, or `linear`.
        surrogate: without gradients: `process`, or `quadratic` as published; of 20 points on a plane the process makes
            more.
        scale: lowest and highest a + b, as for `map`.
        gradients: `used` where there are any, `unused`, or `needed`.

    Raises:
        InputError: an option is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        preferences: Sequence[Sequence[float]] | None = None,
        samples: int | None = None,
        balanced: bool = False,
        choice: Literal["chebyshev", "linear"] = "chebyshev",
        surrogate: Kind = "process",
        scale: Sequence[float] = (0.2, 2.0),
        gradients: Literal["used", "unused", "needed"] = "used",
    ) -> None:
        super().__init__(seed)
        one_of("choice", choice, ("chebyshev", "linear"))
        one_of("surrogate", surrogate, ("quadratic", "process"))
        one_of("gradients", gradients, ("used", "unused", "needed"))
        if samples is not None and samples < 3:
            raise InputError(f"samples is {samples}; give at least 3 merges for each node")
        for weights in preferences or ():
            if not (len(weights) and min(weights) >= 0 and sum(weights) > 0):
                raise InputError(f"preference {list(weights)} is none; give weights, none negative and not all zero")
        self.preferences, self.samples, self.balanced = preferences, samples, balanced
        self.choice, self.surrogate, self.gradients = choice, surrogate, gradients
        self.scale = scale_of(scale)
        self._choices: dict[tuple[bytes, ...], FloatArray] = {}

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the first merge that a preference needs and nobody tried, x, `dimension`; None after the last.

        Raises:
            InputError: the space does not hold the members, or a preference has not one weight for each objective.
        """
        if not history.space.dimension:
            return None if history.tried(np.empty(0)) else np.empty(0)
        self._weights(history)  # what does not fit is said before anything is evaluated
        members(history)
        require_merges(history.space)
        return next((x for x in self._wanted(history) if not history.tried(x)), None)

    def answers(self, history: History) -> list[FloatArray]:
        """The merge chosen for each preference, x, `dimension` each, as far as their trials are finished."""
        found = []
        for weights in self._weights(history):
            climb = Climb(self._nest(history), history, weights)
            if all(history.tried(x) for x in climb.wanted()):
                found.append(climb.x(climb.rows[climb.root]))
        return found

    def _wanted(self, history: History) -> Iterator[FloatArray]:
        yield from members(history)
        for weights in self._weights(history):
            yield from Climb(self._nest(history), history, weights).wanted()

    def _weights(self, history: History) -> list[FloatArray]:
        objectives = history.losses.shape[1]
        given = self.preferences or [[1.0] * objectives]
        for weights in given:
            if len(weights) != objectives:
                raise InputError(f"preference {list(weights)} has {len(weights)} weights for {objectives} objectives")
        return [np.asarray(weights, dtype=np.float64) / sum(weights) for weights in given]

    def _nest(self, history: History) -> Nest:
        count = self.samples or (_SAMPLES if history.guides is None else _GUIDED_SAMPLES)
        return Nest(
            balanced=self.balanced,
            reach=self.scale[1],
            design=lambda plane: Frame(plane, self.seed, self.scale).sample(count, 1),
            choose=self._choose,
        )

    def _choose(self, side: Side, weights: FloatArray) -> FloatArray:
        """The preferred (a, b) of the front predicted from a node's trials; cached by what it depends on."""
        history = side.history
        if len(history) < _LEAST:
            return np.array([0.5, 0.5])
        guides = b"" if history.guides is None else history.guides.slopes.tobytes()
        parts = (side.plane.sides, history.x, history.losses, weights)
        key = (*(part.tobytes() for part in parts), guides)
        if key not in self._choices:
            frame = Frame(history.space, self.seed, self.scale)
            model = fitted(frame, history, len(history), self.surrogate)
            x = frame.sample(_CANDIDATES, 2)
            front = predicted_front(frame, model, Pool(x, frame.coordinates(x)), generator(self.seed, 0, 3))
            distance = preferred((front.losses - side.best) / side.span, weights, self.choice)
            self._choices[key] = front.x[int(distance.argmin())]
        return self._choices[key]


def preferred(scaled: FloatArray, weights: FloatArray, choice: str) -> FloatArray:
    """How far each point is from what a preference wants, `points`: smaller is better.

    Args:
        scaled: losses with 0 at the best single member and 1 at the worst of base and members, `points x objectives`.
        weights: of the objectives, adding up to 1.
        choice: `chebyshev` or `linear`.
    """
    weighted = scaled * weights
    linear = weighted.sum(axis=1)
    return np.asarray(linear if choice == "linear" else weighted.max(axis=1) + _RHO * linear, dtype=np.float64)
