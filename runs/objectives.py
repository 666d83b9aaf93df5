"""The objectives of a run: which numbers of the scores count, in which direction, and what one mean of them is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from ..errors import TrialError
from ..evaluators.evaluator import Scores
from ..evaluators.panel import find_metric
from ..evaluators.statistics.scores import MetricScores
from ..spaces.table import FloatArray
from .config import ObjectiveConfig


@dataclass(frozen=True)
class Objective:
    """One metric of one task, resolved.

    Attributes:
        task: whose samples it is measured on.
        metric: its name.
        maximize: whether higher is better.
        floor: what a chosen model must keep, in the metric's unit; None for no floor.
        weight: in weighted means; None for the default of `Objectives.weights`.
    """

    task: str
    metric: str
    maximize: bool
    floor: float | None = None
    weight: float | None = None

    @property
    def name(self) -> str:
        """`task/metric`, as the configuration writes it."""
        return f"{self.task}/{self.metric}"

    @property
    def sign(self) -> float:
        """-1 where higher is better, so that `sign * value` is a loss."""
        return -1.0 if self.maximize else 1.0

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's word for it."""
        return "maximize" if self.maximize else "minimize"


@dataclass(frozen=True)
class Objectives:
    """All objectives of a run, in the configuration's order."""

    each: tuple[Objective, ...]

    @classmethod
    def resolve(cls, configs: Sequence[ObjectiveConfig], metrics: Mapping[str, Mapping[str, bool]]) -> Objectives:
        """Look the configured metrics up among those that the evaluators have.

        Raises:
            InputError: an unknown task or metric; names those there are.
        """
        each = []
        for config in configs:
            task, metric = find_metric(metrics, config.metric)
            higher = metrics[task][metric] if config.direction is None else config.direction == "maximize"
            each.append(Objective(task, metric, higher, config.floor, config.weight))
        return cls(tuple(each))

    @classmethod
    def from_plain(cls, content: Sequence[Mapping[str, Any]]) -> Objectives:
        """Decode what `to_plain` made."""
        return cls(tuple(Objective(**entry) for entry in content))

    def to_plain(self) -> list[dict[str, Any]]:
        """As JSON can hold it."""
        return [asdict(objective) for objective in self.each]

    @property
    def names(self) -> list[str]:
        """`task/metric` of each."""
        return [objective.name for objective in self.each]

    @property
    def tasks(self) -> list[str]:
        """The tasks that any objective needs, once each."""
        return list(dict.fromkeys(objective.task for objective in self.each))

    @property
    def metrics(self) -> dict[str, list[str]]:
        """Task -> its metrics that are objectives."""
        return {task: [one.metric for one in self.each if one.task == task] for task in self.tasks}

    @property
    def signs(self) -> FloatArray:
        """`sign` of each, float64, `objectives`."""
        return np.array([objective.sign for objective in self.each])

    @property
    def mean_sign(self) -> float:
        """What a weighted mean loss is multiplied with to be shown: 1 where every objective is minimised.

        Otherwise -1: the mean is shown such that higher is better, and minimised objectives count negatively.
        """
        return 1.0 if all(not objective.maximize for objective in self.each) else -1.0

    def pick(self, scores: Scores) -> list[MetricScores]:
        """The scores that the objectives name.

        Raises:
            TrialError: one of them is not there.
        """
        missing = [one.name for one in self.each if one.metric not in scores.get(one.task, {})]
        if missing:
            raise TrialError(f"the evaluators returned no {missing[0]}; it is an objective")
        return [scores[objective.task][objective.metric] for objective in self.each]

    def violations(self, values: Sequence[float]) -> tuple[float, ...]:
        """By how much each floor is missed (positive) or met, in the metric's unit; one number per floor."""
        return tuple(
            objective.sign * (value - objective.floor)
            for objective, value in zip(self.each, values, strict=True)
            if objective.floor is not None
        )

    def may_keep_floors(self, values: Sequence[float] | None, errors: Sequence[float]) -> bool:
        """Whether estimates leave it open that all floors are kept: two of their standard errors may be amiss."""
        pairs = zip(self.each, values or (), errors, strict=True)
        hopeful = [value - 2.0 * objective.sign * error for objective, value, error in pairs]
        return all(violation <= 0 for violation in self.violations(hopeful))

    def weights(self, reference: FloatArray) -> FloatArray:
        """Weights of one mean, adding up to 1, float64, `objectives`.

        Given weights count as they are. Where none is given, objectives of one metric count alike, and those of
        several metrics, whose units differ, by the inverse of their range over the reference.

        Args:
            reference: values of the baselines, `trials x objectives`; may be empty.
        """
        given = [objective.weight for objective in self.each]
        if any(weight is not None for weight in given):
            raw = np.array([1.0 if weight is None else weight for weight in given])
        elif len({objective.metric for objective in self.each}) == 1 or not len(reference):
            raw = np.ones(len(given))
        else:
            spread = np.ptp(reference, axis=0)
            raw = 1.0 / np.where(spread > 0, spread, 1.0)
        return np.asarray(raw / raw.sum(), dtype=np.float64)

    def mean_errors(self, weights: FloatArray, errors: FloatArray) -> FloatArray:
        """Standard errors of the weighted mean, float64, `trials`, from those of the objectives, `trials x objectives`.

        Objectives of one task share its samples, so their errors are added, which can only overstate the error.
        Tasks are independent of one another.
        """
        owners, weighted = np.array([objective.task for objective in self.each]), errors * weights
        per_task = np.stack([weighted[:, owners == task].sum(axis=1) for task in self.tasks])
        return np.asarray(np.sqrt((per_task**2).sum(axis=0)), dtype=np.float64)
