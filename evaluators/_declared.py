"""Metrics that a configuration declares, `{name: maximize or minimize}`, and the values that come back for them."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError, TrialError, nearest
from .statistics.scores import MetricScores

_DIRECTIONS = {"maximize": True, "minimize": False}


@dataclass(frozen=True)
class Declared:
    """The metrics of one evaluator.

    Attributes:
        name: the evaluator's.
        directions: metric name -> whether higher is better.
    """

    name: str
    directions: dict[str, bool]

    @classmethod
    def parse(cls, name: str, metrics: Mapping[str, str]) -> Declared:
        """Check `{metric: maximize or minimize}`.

        Raises:
            InputError: no metrics, or a direction that is neither.
        """
        if not metrics:
            raise InputError(f"evaluator '{name}' has no metrics; give one or more, such as {{score: maximize}}")
        for metric, direction in metrics.items():
            if direction not in _DIRECTIONS:
                raise InputError(f"metric '{metric}' of '{name}': '{direction}'; {nearest(direction, _DIRECTIONS)}")
        return cls(name, {metric: _DIRECTIONS[direction] for metric, direction in metrics.items()})

    def named(self, result: Any) -> Mapping[str, Any]:
        """`result` as a mapping of exactly these metrics; alone it is the value of the only one.

        Raises:
            TrialError: a metric that was not declared, one that is missing, or values without names for several.
        """
        if not isinstance(result, Mapping):
            if len(self.directions) > 1:
                raise TrialError(
                    f"evaluator '{self.name}' returned {type(result).__name__} for {len(self.directions)} metrics; "
                    "return a mapping metric -> values"
                )
            result = dict.fromkeys(self.directions, result)
        for metric in result:
            if metric not in self.directions:
                known = nearest(str(metric), self.directions)
                raise TrialError(f"evaluator '{self.name}' returned '{metric}', which is none of its metrics; {known}")
        missing = set(self.directions) - set(result)
        if missing:
            raise TrialError(f"evaluator '{self.name}' did not return {', '.join(sorted(missing))}; return all metrics")
        return {metric: result[metric] for metric in self.directions}

    def scores(self, result: Any, count: int) -> dict[str, MetricScores]:
        """Metric -> scores of one value for each of `count` samples; a value may be a `MetricScores` already.

        Raises:
            TrialError: as `named`; or what is no number, not finite, or not as many as the samples.
        """
        return {metric: self.scores_of(metric, values, count) for metric, values in self.named(result).items()}

    def scores_of(self, metric: str, values: Any, count: int) -> MetricScores:
        """Scores of one metric; raises as `scores`."""
        if isinstance(values, MetricScores):
            return values
        if hasattr(values, "detach"):  # a tensor, perhaps on an accelerator or in bfloat16
            values = values.detach().cpu().double()
        if values is None:
            raise TrialError(f"{self.name}/{metric}: None was returned; return one number per sample")
        try:
            array = np.atleast_1d(np.asarray(values, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise TrialError(
                f"{self.name}/{metric}: {reprlib.repr(values)} are no numbers; return one per sample"
            ) from error
        if array.shape != (count,):
            raise TrialError(
                f"{self.name}/{metric}: {array.size} values of shape {array.shape} for {count} samples; "
                "return one per sample"
            )
        if not np.isfinite(array).all():
            bad = int(np.count_nonzero(~np.isfinite(array)))
            raise TrialError(f"{self.name}/{metric}: {bad} of {count} values are not finite")
        return MetricScores.mean(array)
