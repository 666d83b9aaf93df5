"""Optuna's own samplers as searchers: asked anew for every proposal, in a study replayed from the history."""

from __future__ import annotations

import contextlib
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from ._informed import Informed
from .history import FloatArray, History
from .searcher import Searcher


class Replayed(Searcher):
    """Wraps a sampler of Optuna, which may keep state of its own, into a searcher, which may not.

    Every proposal comes from a fresh sampler in a study that holds the history and nothing else, so what a resumed
    run proposes is what the uninterrupted run would have. The study is kept for the next call, which appends to it
    where the history only grew; that saves time and changes nothing.
    """

    _study: Study | None = None
    _history: History | None = None
    _shared: dict[str, BaseDistribution] | None = None

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Return a fresh sampler that draws from `seed`."""

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
        """Ask a fresh sampler for x, float64, `dimension`, after replaying the history."""
        if not history.space.dimension:
            return np.empty(0)
        with quiet():
            study = self._replay(history)
            first = len(study.get_trials(deepcopy=False))
            for x in history.unscored:  # as running trials, which keep samplers from proposing the same again
                study.add_trial(_trial(history, x, state=TrialState.RUNNING))
            sampler = self.sampler(int(rng.integers(2**32)))
            study.sampler = sampler if self._shared is None else Informed(sampler, self._shared)
            trial = study.ask(_distributions(history))
            if len(history):  # from the first trial on the answer is the same, since all have all coordinates
                self._shared = trial.relative_search_space
            for number in range(first, trial.number + 1):
                study.tell(number, state=TrialState.FAIL)  # samplers pass over failed trials: this leaves no trace
        return np.array(list(trial.params.values()), dtype=np.float64)

    def marks(self, row: int) -> dict[str, Any]:
        """System attributes that the sampler wants on the trial in this row of the history; none by default."""
        return {}

    def _replay(self, history: History) -> Study:
        """The study of this history: the one at hand, extended, or a new one."""
        grown = self._history is not None and _extends(history, self._history)
        if self._study is None or not grown:
            objectives = max(1, history.losses.shape[1])
            self._study = optuna.create_study(directions=[StudyDirection.MINIMIZE] * objectives)
            self._shared = None
        first = len(self._history) if self._history is not None and grown else 0
        for row in range(first, len(history)):
            floors = {f"{floor:03d}": value for floor, value in enumerate(history.violations[row].tolist())}
            values, marks = history.losses[row].tolist(), self.marks(row)
            trial = _trial(history, history.x[row], values=values, system_attrs=marks, constraints=floors)
            self._study.add_trial(trial)
        self._history = history
        return self._study


def _trial(history: History, x: FloatArray, **content: Any) -> FrozenTrial:
    distributions = _distributions(history)
    params = dict(zip(distributions, x.tolist(), strict=True))
    return create_trial(params=params, distributions=distributions, **content)


def _distributions(history: History) -> dict[str, BaseDistribution]:
    # Optuna sorts parameters by name; numbers with leading zeros keep them in the order of the coordinates.
    return {f"{index:06d}": FloatDistribution(*pair) for index, pair in enumerate(history.space.bounds.tolist())}


def _extends(new: History, old: History) -> bool:
    """Whether `new` is `old` with further trials."""
    same = np.array_equal(new.space.bounds, old.space.bounds)
    pairs = ((new.x, old.x), (new.losses, old.losses), (new.violations, old.violations))
    return same and all(np.array_equal(after[: len(before)], before) for after, before in pairs)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's log and its notes on experimental features, for the duration only."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
