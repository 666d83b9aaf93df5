"""Any Python function as an evaluator: it gets the live model and returns one value per sample and metric."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import InputError, TrialError, nearest
from ..plugins import load_object
from ._digest import digest
from ._scoring import undisturbed
from .evaluator import Evaluator, IntArray, Scores
from .scores import MetricScores

_DIRECTIONS = {"maximize": True, "minimize": False}


class CallableEvaluator(Evaluator):
    """Calls `function(model, samples, **arguments)`; the task is called like the evaluator.

    The function gets the live torch model in evaluation mode without gradients, and the samples' indices (int64,
    ascending); also the tokenizer if it has a parameter `tokenizer`. It returns a mapping metric -> values, one per
    sample; or the values alone where there is one metric. A metric without values per sample (a Fréchet distance)
    is returned as a `MetricScores`, made by `MetricScores.aggregate`.
    """

    def __init__(
        self,
        name: str,
        function: str,
        samples: int = 1,
        metrics: Mapping[str, str] = MappingProxyType({"score": "maximize"}),
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Check the options and import the function.

        Args:
            name: the evaluator's name, and its task's.
            function: `module:function` or `path.py:function`.
            samples: number of samples that the function can score.
            metrics: metric name -> `maximize` or `minimize`.
            arguments: further keyword arguments for the function.

        Raises:
            InputError: no such function, a direction that is neither, no metrics, or no samples.
        """
        super().__init__(name)
        if samples < 1 or not metrics:
            raise InputError(f"evaluator '{name}' has {samples} samples and {len(metrics)} metrics; give 1 or more")
        for metric, direction in metrics.items():
            if direction not in _DIRECTIONS:
                raise InputError(f"metric '{metric}' of '{name}': '{direction}'; {nearest(direction, _DIRECTIONS)}")
        self._function = load_object(function)
        if not callable(self._function):
            raise InputError(f"evaluator '{name}': {function} is {self._function!r}, not a function")
        self._samples, self._arguments = samples, dict(arguments or {})
        self._metrics = {metric: _DIRECTIONS[direction] for metric, direction in metrics.items()}
        self._tokenizer: Any | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Remember the tokenizer, for a function that asks for it."""
        self._tokenizer = tokenizer

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of samples."""
        return {self.name: self._samples}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The evaluator's name -> metric name -> whether higher is better."""
        return {self.name: dict(self._metrics)}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Call the function on the samples (ascending int64 indices of the one task).

        Raises:
            TrialError: it returned other metrics than declared, or another number of values than samples.
        """
        rows = np.asarray(samples[self.name], dtype=np.int64)
        arguments = dict(self._arguments)
        if "tokenizer" in inspect.signature(self._function).parameters:
            arguments["tokenizer"] = self._tokenizer
        with undisturbed(model):
            result = self._function(model, rows, **arguments)
        return {self.name: self._named(result, len(rows))}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and of the file that defines the function."""
        return digest("callable", self._function, self._samples, self._metrics, self._arguments)

    def _named(self, result: Any, count: int) -> dict[str, MetricScores]:
        if not isinstance(result, Mapping):
            if len(self._metrics) > 1:
                raise TrialError(
                    f"evaluator '{self.name}' returned {type(result).__name__} for {len(self._metrics)} metrics; "
                    "return a mapping metric -> values"
                )
            result = dict.fromkeys(self._metrics, result)
        for metric in result:
            if metric not in self._metrics:
                raise TrialError(f"evaluator '{self.name}' returned '{metric}'; {nearest(metric, self._metrics)}")
        missing = set(self._metrics) - set(result)
        if missing:
            raise TrialError(f"evaluator '{self.name}' did not return {', '.join(sorted(missing))}; return all metrics")
        return {metric: self._values(metric, result[metric], count) for metric in self._metrics}

    def _values(self, metric: str, values: Any, count: int) -> MetricScores:
        if isinstance(values, MetricScores):
            return values
        if hasattr(values, "detach"):  # a tensor, perhaps on an accelerator or in bfloat16
            values = values.detach().cpu().double()
        try:
            array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise TrialError(f"{self.name}/{metric}: {values!r} are no numbers; return one per sample") from error
        if array.shape != (count,):
            raise TrialError(
                f"{self.name}/{metric}: {array.size} values of shape {array.shape} for {count} samples; "
                "return one per sample"
            )
        if not np.isfinite(array).all():
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise TrialError(f"{self.name}/{metric}: {bad} of {count} values are not finite")
        return MetricScores.mean(array)
