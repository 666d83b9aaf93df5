"""The contract of a searcher: one method, `propose`. The rest of an Optuna sampler is done here."""

from __future__ import annotations

import contextlib
import zlib
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from ..errors import InputError
from ._study import history_of, numeric_space, values_of
from .history import FloatArray, History
from .pareto import best_row


class Searcher(BaseSampler):
    """Proposes the next vector from the history of finished trials, and from nothing else.

    A searcher keeps no state between calls that the history does not determine (a cache keyed by the history is
    fine), and takes every random number from the generator it is given, which is derived from (seed, trial number)
    alone. So a run that is killed and resumed proposes what the uninterrupted run would have proposed.

    In a plain Optuna study the members are the study's numeric parameters; those that no completed trial has, and
    categorical or logarithmic ones, are drawn uniformly.

    Attributes:
        multi_objective: whether it takes several objectives.
        gradients: whether `history.guides` are unused, used where every objective has a differentiable loss, or
            needed; a subclass may set it from its options.

    Args:
        seed: seed of the run, not negative.

    Raises:
        InputError: the seed is negative.
    """

    multi_objective: ClassVar[bool] = True
    gradients: Literal["unused", "used", "needed"] = "unused"

    def __init__(self, seed: int = 0) -> None:
        if seed < 0:
            raise InputError(f"seed is {seed}; give zero or a positive whole number")
        self.seed = seed

    @abstractmethod
    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next x, float64, `dimension`, within the bounds; None once the method has nothing left to try."""

    def follows(self, objective: int) -> bool:
        """Whether it needs the gradient of this objective, counted from 0, where gradients are needed at all."""
        return True

    def forecasts(self, history: History) -> dict[int, FloatArray]:
        """Row of the history -> losses, `objectives`, that a model predicted of it before it was evaluated, if any."""
        return {}

    def ask(self, history: History) -> FloatArray | None:
        """`propose` with the generator of this trial: what the driver and a plain study call.

        What rounding puts beyond the bounds is pulled back onto them. A space of one point is tried once.

        Raises:
            InputError: several objectives are given to a searcher of one, gradients are needed and not there, or it
                proposed no x within the bounds.
        """
        space, objectives = history.space, history.losses.shape[1]
        if objectives > 1 and not self.multi_objective:
            name = type(self).__name__
            raise InputError(f"{name} minimises one objective, not {objectives}; take nsga2, tpe or gp, or drop some")
        if self.gradients == "needed" and history.guides is None:
            name = type(self).__name__
            raise InputError(f"{name} follows coefficient gradients, and there are none; plain studies have none")
        x = self.propose(history, generator(self.seed, history.number))
        if x is not None and not (np.shape(x) == (space.dimension,) and space.contains(x)):
            name, shown = type(self).__name__, np.array2string(np.asarray(x), threshold=8)
            raise InputError(f"{name} proposed {shown}, not {space.dimension} numbers within the bounds; correct it")
        if x is None or (not space.dimension and history.tried(np.empty(0))):
            return None
        return np.clip(x, *space.bounds.T)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The numeric parameters that all completed trials of the study share (called by Optuna)."""
        return numeric_space(study)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Propose values for the shared parameters (called by Optuna).

        Once the method has nothing left to try, the study is asked to stop and gets the best values once more.
        """
        if not search_space:
            return {}
        history = history_of(study, trial, search_space)
        x = self.ask(history)
        if x is None:
            with contextlib.suppress(RuntimeError):  # outside of `study.optimize` there is nothing to stop
                study.stop()
            x = history.x[best_row(history)]
        return values_of(x, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Draw one value uniformly, from (seed, trial number, name of the parameter) (called by Optuna)."""
        rng = generator(self.seed, trial.number, zlib.crc32(param_name.encode()))
        uniform = RandomSampler(seed=int(rng.integers(2**32)))
        return uniform.sample_independent(study, trial, param_name, param_distribution)


def generator(seed: int, number: int, *more: int) -> np.random.Generator:
    """The generator of trial `number` in a run with `seed`; `more` numbers set apart several uses in one trial."""
    return np.random.default_rng([seed, number, *more])
