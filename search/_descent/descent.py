"""Gradient descent on coefficients, replayed from the history: each iterate is a trial, its slopes lead to the next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import InputError
from ...spaces.space import Space
from ...spaces.table import CoefficientTable
from ..history import FloatArray, History
from ..searcher import Searcher
from .adam import Adam
from .steer import Course, Steer, courses


class Path(ABC):
    """One descent: parameters of any shape, the table that they stand for, and the chain rule between the two."""

    @abstractmethod
    def start(self) -> FloatArray:
        """The first parameters, float64."""

    @abstractmethod
    def table(self, values: FloatArray) -> CoefficientTable:
        """The table of these parameters."""

    @abstractmethod
    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        """∂loss/∂parameters from ∂loss/∂C, float64, `groups x members`."""

    def onto(self, values: FloatArray) -> FloatArray:
        """The nearest parameters that are allowed; by default all are."""
        return values


class Descent(Searcher):
    """Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980; β 0.9 and 0.999, no weight decay) on coefficients.

    A pure walk over the history: it finds the trials of its iterates, follows their slopes, and proposes the first
    iterate that was not tried. (Where the history only grew, it goes on from where it stood, which saves time and
    changes nothing.) Several paths take their steps in turn. A path ends after `steps`, when `patience` iterates in a
    row were no better than the best, or at a trial without slopes.

    Args:
        seed: seed of the run; a descent has no use for it.
        steps: of each path; it has one iterate more.
        rate: the learning rate: about how far a parameter moves in one step.
        patience: iterates without a better loss before a path ends.
        steer: weight of each objective's differentiable loss in the one that is followed; all alike where left out.
            A list of such lists makes one descent for each, which draws a front between the objectives.
        keep: instead of weights, which objectives may not get worse than at the start.

    Raises:
        InputError: steps, rate or patience is not positive, or steer or keep is out of range.
    """

    gradients = "needed"
    decays = False  # whether the rate falls to zero over the steps, as half a cosine
    _walks: Sequence[_Walk] = ()
    _history: History | None = None

    def __init__(
        self,
        seed: int,
        steps: int,
        rate: float,
        patience: int,
        steer: Steer | None = None,
        keep: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(seed)
        if steps < 1 or not rate > 0 or patience < 1:
            raise InputError(f"steps is {steps}, rate {rate} and patience {patience}; give positive numbers")
        self.steps, self.rate, self.patience = steps, rate, patience
        self.steer, self.keep = steer, keep
        courses(steer, keep)  # what is out of range is said at once

    @abstractmethod
    def paths(self, space: Space) -> Sequence[Path]:
        """The descents to make in this space."""

    def follows(self, objective: int) -> bool:
        """Whether any course gives this objective weight."""
        return any(course.follows(objective) for course in courses(self.steer, self.keep))

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next iterate of the path that made the fewest steps, float64, `dimension`; None at all ends.

        Raises:
            InputError: the space does not contain the first iterate, or there is not one weight per objective.
        """
        if not history.space.dimension:
            return np.empty(0)
        if self._history is None or not _extends(history, self._history):
            paths = self.paths(history.space)
            self._walks = [_Walk(path, course) for path in paths for course in courses(self.steer, self.keep)]
        self._history = history
        rows: dict[bytes, int] = {}
        for row, known in enumerate(history.x):
            rows.setdefault(_key(known), row)
        wanted = [(walk.steps, x) for walk in self._walks if (x := self._next(walk, history, rows)) is not None]
        return min(wanted, key=lambda pair: pair[0], default=(0, None))[1]

    def _next(self, walk: _Walk, history: History, rows: Mapping[bytes, int]) -> FloatArray | None:
        """Follow a path as far as its iterates are known; x of the next one, None where the path ends."""
        guides = history.guides
        while guides is not None and walk.steps <= self.steps and walk.vain < self.patience:
            x = self._vector(history.space, walk.path.table(walk.values), walk.steps)
            if x is None or _key(x) not in rows:
                return None if x is None or history.tried(x) else x
            row = rows[_key(x)]
            loss, slopes = walk.course.follow(guides.losses[row], guides.slopes[row])
            if np.isnan(loss):
                return None
            walk.step(loss, slopes, self._rate_at(walk.steps))
        return None

    def _rate_at(self, step: int) -> float:
        return self.rate * (0.5 + 0.5 * np.cos(np.pi * step / self.steps) if self.decays else 1.0)

    def _vector(self, space: Space, table: CoefficientTable, number: int) -> FloatArray | None:
        """X of an iterate; the first one must lie in the space, and a path that leads out of it ends there."""
        x = space.vector(table)
        if x is None and number == 0:
            row = np.array2string(table.members[0], precision=3, threshold=8)
            raise InputError(
                f"{type(self).__name__} starts at coefficients {row} (first group), which the space does not contain; "
                "widen its bounds, or take another kind"
            )
        return None if x is None else np.clip(x, *space.bounds.T)


class _Walk:
    """How far one path is known: the parameters of its latest iterate, and what led there."""

    def __init__(self, path: Path, course: Course) -> None:
        self.path, self.course, self.values, self.adam = path, course, path.start(), Adam()
        self.steps, self.best, self.vain = 0, np.inf, 0

    def step(self, loss: float, slopes: FloatArray, rate: float) -> None:
        """Move on from an iterate with this loss and these slopes, `groups x members`."""
        self.best, self.vain = (loss, 0) if loss < self.best else (self.best, self.vain + 1)
        move = self.adam.move(self.path.gradient(self.values, slopes))
        self.values = self.path.onto(self.values - rate * move)
        self.steps += 1


def _extends(new: History, old: History) -> bool:
    """Whether `new` is `old` with further trials."""
    if new.space is not old.space or new.guides is None or old.guides is None:
        return False
    pairs = ((new.x, old.x), (new.guides.losses, old.guides.losses), (new.guides.slopes, old.guides.slopes))
    return all(np.array_equal(after[: len(before)], before, equal_nan=True) for after, before in pairs)


def _key(x: FloatArray) -> bytes:
    return (x + 0.0).tobytes()  # adding 0.0 turns -0.0 into 0.0, as comparing would
