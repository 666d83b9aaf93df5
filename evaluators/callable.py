"""Any Python function as an evaluator: it gets the live model and returns one value per sample and metric."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import InputError
from ..plugins import load_object
from ._declared import Declared
from ._digest import digest
from ._scoring import undisturbed
from .evaluator import Evaluator, IntArray, Scores


class CallableEvaluator(Evaluator):
    """Calls `function(model, samples, **arguments)`; the task is called like the evaluator.

    The function gets the live torch model in evaluation mode without gradients, and the samples' indices (int64,
    ascending); also the tokenizer if it has a parameter `tokenizer`. It returns a mapping metric -> values, one per
    sample; or the values alone where there is one metric. A metric without values per sample (a Fréchet distance)
    is returned as a `MetricScores`, made by `MetricScores.aggregate`, or `decisions` for one of a confusion matrix.
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
            InputError: no such function, one that cannot be called so, a direction that is neither, no metrics, or no
                samples.
        """
        super().__init__(name)
        if samples < 1:
            raise InputError(f"evaluator '{name}' has {samples} samples; give 1 or more")
        self._declared = Declared.parse(name, metrics)
        self._function = load_object(function)
        if not callable(self._function):
            raise InputError(f"evaluator '{name}': {function} is {self._function!r}, not a function")
        self._samples, self._arguments = samples, dict(arguments or {})
        _require_fitting(name, function, self._function, self._arguments)
        self._tokenizer: Any | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Remember the tokenizer, for a function that asks for it."""
        self._tokenizer = tokenizer

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of samples."""
        return {self.name: self._samples}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The evaluator's name -> metric name -> whether higher is better."""
        return {self.name: dict(self._declared.directions)}

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
        return {self.name: self._declared.scores(result, len(rows))}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options and of the file that defines the function."""
        return digest("callable", self._function, self._samples, self._declared.directions, self._arguments)


def _require_fitting(name: str, reference: str, function: Any, arguments: Mapping[str, Any]) -> None:
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions of C tell nothing
        return
    given = {"tokenizer": None} if "tokenizer" in signature.parameters else {}
    try:
        signature.bind(None, None, **{**arguments, **given})
    except TypeError as error:
        call = ", ".join(["model", "samples", *arguments])
        raise InputError(f"evaluator '{name}': {reference} cannot be called as function({call}): {error}") from error
