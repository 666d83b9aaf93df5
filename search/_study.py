"""A plain Optuna study as a history: its numeric parameters are the members of a box of one row."""

from __future__ import annotations

from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.search_space import intersection_search_space
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ..spaces.box import Box
from .history import FloatArray, History


def numeric_space(study: Study) -> dict[str, BaseDistribution]:
    """Parameters shared by all completed trials that are numbers on a linear scale with more than one value."""
    shared = intersection_search_space(study.get_trials(deepcopy=False))
    return {
        name: distribution
        for name, distribution in shared.items()
        if isinstance(distribution, FloatDistribution | IntDistribution)
        and not (distribution.log or distribution.single())
    }


def history_of(study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> History:
    """What the study knows before `trial`, over the parameters of `search_space`."""
    others = [
        other
        for other in study.get_trials(deepcopy=False)
        if other.number != trial.number and search_space.keys() <= other.params.keys()
    ]
    done = [other for other in others if other.state == TrialState.COMPLETE]
    signs = np.array([-1.0 if way == StudyDirection.MAXIMIZE else 1.0 for way in study.directions])
    losses = np.array([other.values for other in done], dtype=np.float64) * signs
    floors = sorted({floor for other in done for floor in other.constraints})
    low, high = np.array([(each.low, each.high) for each in _linear(search_space)], dtype=np.float64).T
    return History(
        space=Box(list(search_space), low, high),
        number=trial.number,
        x=_vectors(done, search_space),
        losses=losses,
        errors=np.zeros_like(losses),
        violations=np.array([[other.constraints.get(floor, 0.0) for floor in floors] for other in done]),
        unscored=_vectors([other for other in others if other.state != TrialState.COMPLETE], search_space),
        baselines=_enqueued(done),
    )


def values_of(x: FloatArray, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
    """The study's parameters at x, float64, `parameters`; rounded to the step where a parameter has one."""
    values = {}
    for name, distribution, value in zip(search_space, _linear(search_space), x.tolist(), strict=True):
        low, high, step = distribution.low, distribution.high, distribution.step
        rounded = value if step is None else low + step * round((value - low) / step)
        values[name] = type(low)(min(max(rounded, low), high))
    return values


def _enqueued(trials: list[FrozenTrial]) -> int:
    """How many of the first trials stand at points that were enqueued."""
    return next((row for row, one in enumerate(trials) if "fixed_params" not in one.system_attrs), len(trials))


def _vectors(trials: list[FrozenTrial], search_space: dict[str, BaseDistribution]) -> FloatArray:
    rows = [[trial.params[name] for name in search_space] for trial in trials]
    return np.array(rows, dtype=np.float64).reshape(len(trials), len(search_space))


def _linear(search_space: dict[str, BaseDistribution]) -> list[FloatDistribution | IntDistribution]:
    return [each for each in search_space.values() if isinstance(each, FloatDistribution | IntDistribution)]
