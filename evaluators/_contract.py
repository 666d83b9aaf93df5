"""What evaluators are held to: scores that can be recorded, and errors that say whose they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import InputError, TrialError, nearest
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores, require_finite

T = TypeVar("T")


def naming(name: str, work: Callable[[], T]) -> T:
    """Do some work of the evaluator called `name`; an error of it says whose it is."""
    try:
        return work()
    except InputError as error:
        if f"'{name}'" in str(error):
            raise
        raise InputError(f"evaluator '{name}': {error}") from error


def checked(evaluator: Evaluator, wanted: Mapping[str, IntArray], scores: Scores) -> Scores:
    """Hold an evaluator to its contract before its scores are recorded."""
    declared = evaluator.metrics()
    for task, indices in wanted.items():
        missing = set(declared[task]) - set(scores.get(task) or {})
        if missing:
            raise TrialError(f"evaluator '{evaluator.name}' returned no {', '.join(sorted(missing))} for task '{task}'")
        for metric, one in scores[task].items():
            _require_scores(task, metric, one, declared[task])
            _require_count(f"{task}/{metric}", one, len(indices))
            require_finite(task, metric, one)
    return {task: dict(scores[task]) for task in wanted}


def _require_scores(task: str, metric: str, scores: Any, declared: Mapping[str, bool]) -> None:
    if metric not in declared:
        raise TrialError(
            f"{task}/{metric} was returned, which is none of the task's metrics; {nearest(metric, declared)}"
        )
    if not isinstance(scores, MetricScores):
        kind = type(scores).__name__
        raise TrialError(f"{task}/{metric} is a {kind}, not scores of samples; make them with MetricScores.mean")
    if scores.samples is None and scores.replicates is None:
        raise TrialError(f"{task}/{metric} has neither samples nor replicates; make it with MetricScores.aggregate")


def _require_count(name: str, scores: MetricScores, count: int) -> None:
    if scores.samples is not None and len(scores.samples) != count:
        raise TrialError(f"{name} has {len(scores.samples)} values for {count} samples; return one per sample")
