"""Several evaluators as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ..errors import InputError, nearest
from ..plugins import call_user
from ._contract import checked, naming
from ._digest import digest
from .evaluator import Evaluator, IntArray, Scores
from .statistics.scores import MetricScores, require_finite


class Panel:
    """The evaluators of a run, asked together: the tasks of all of them, each scored by the one that has it."""

    def __init__(self, evaluators: Sequence[Evaluator]) -> None:
        self.evaluators = tuple(evaluators)

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Prepare every evaluator for the live `model` (torch.nn.Module), and check that no task is claimed twice.

        Raises:
            InputError: from an evaluator, or two of them have a task of the same name.
        """
        for evaluator in self.evaluators:
            what, name = f"preparing evaluator '{evaluator.name}'", evaluator.name
            naming(name, partial(call_user, what, partial(evaluator.prepare, model, tokenizer)))
        self._owners()

    def tasks(self) -> dict[str, int]:
        """Task name -> number of samples, over all evaluators.

        Raises:
            InputError: two evaluators have a task of the same name; names both.
        """
        return {task: owner.tasks()[task] for task, owner in self._owners().items()}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """Task name -> metric name -> whether higher is better, over all evaluators."""
        return {task: dict(names) for one in self.evaluators for task, names in one.metrics().items()}

    def owner(self, task: str) -> Evaluator:
        """The evaluator that a task belongs to.

        Raises:
            InputError: no evaluator has it; names the nearest task.
        """
        owners = self._owners()
        if task not in owners:
            raise InputError(f"no evaluator has a task '{task}'; {nearest(task, owners)}")
        return owners[task]

    def references(self) -> tuple[str, ...]:
        """Names ("base", or of members) of the models that some evaluator compares candidates with, each once."""
        return tuple(dict.fromkeys(name for one in self.evaluators for name in one.references()))

    def observe(self, reference: str, model: Any) -> None:
        """Show a reference, whose weights the live `model` has now, to the evaluators that compare with it."""
        for evaluator in self.evaluators:
            if reference in evaluator.references():
                evaluator.observe(reference, model)

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on `samples` (ascending int64 indices per task): task -> metric -> finite scores.

        Raises:
            InputError: an unknown task, or one without samples.
            TrialError: a value that is not finite, a metric that was not returned, or a wrong number of samples.
        """
        owners = self._owners()
        for task, indices in samples.items():
            if task not in owners:
                raise InputError(f"no evaluator has a task '{task}'; {nearest(task, owners)}")
            if len(indices) == 0:
                raise InputError(f"no samples were asked of task '{task}'; leave the task out or give it some")
        found: Scores = {}
        for evaluator in self.evaluators:
            wanted = {task: indices for task, indices in samples.items() if owners[task] is evaluator}
            if wanted:
                found.update(checked(evaluator, wanted, evaluator.score(model, wanted)))
        return {task: found[task] for task in samples}

    def differentiable(self) -> dict[str, tuple[str, ...]]:
        """Task name -> its differentiable losses, the best one to steer by first, over all evaluators."""
        return {task: tuple(names) for one in self.evaluators for task, names in one.differentiable().items()}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score one differentiable loss of `model` on samples (ascending indices), and differentiate its value.

        Raises:
            TrialError: a value that is not finite.
        """
        return require_finite(task, metric, self._owners()[task].backward(model, task, metric, samples))

    def fingerprint(self) -> str:
        """Hash (hexadecimal) over the evaluators' names and fingerprints, whatever their order."""
        return digest({one.name: one.fingerprint() for one in self.evaluators})

    def _owners(self) -> dict[str, Evaluator]:
        owners: dict[str, Evaluator] = {}
        for evaluator in self.evaluators:
            for task in evaluator.tasks():
                if task in owners:
                    raise InputError(
                        f"task '{task}' belongs to two evaluators, '{owners[task].name}' and '{evaluator.name}'; "
                        "rename it in one of them"
                    )
                owners[task] = evaluator
        return owners


def find_metric(metrics: Mapping[str, Mapping[str, bool]], reference: str) -> tuple[str, str]:
    """Resolve an objective's `task/metric` to (task, metric); a task's own name may contain slashes.

    Raises:
        InputError: not of that form, an unknown task, or a metric that the task lacks; names what there is.
    """
    task, slash, metric = reference.rpartition("/")
    if not slash:
        known = [f"{one}/{name}" for one, names in metrics.items() for name in names]
        raise InputError(f"'{reference}' is no objective; write it as task/metric; {nearest(reference, known)}")
    if task not in metrics:
        raise InputError(f"no task '{task}' in '{reference}'; {nearest(task, metrics)}")
    if metric not in metrics[task]:
        raise InputError(f"task '{task}' has no metric '{metric}'; {nearest(metric, metrics[task])}")
    return task, metric
