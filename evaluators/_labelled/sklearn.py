"""Any scikit-learn metric by the name of its scorer (`f1_macro`) or of its function (`hamming_loss`)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, nearest

Array = NDArray[Any]
_DIRECTIONS = {"_score": True, "_corrcoef": True, "_loss": False, "_error": False, "_deviance": False}


@dataclass(frozen=True)
class Metric:
    """A metric of a whole list of samples.

    Attributes:
        function: (labels, outputs) -> value; labels `samples`, int64 with outputs the class probabilities, float64
            `samples x classes`, or both float64 `samples` for a regression.
        higher_is_better: its direction.
        decides: whether it looks at the likeliest class only: a metric of the confusion matrix.
    """

    function: Callable[[Array, Array], float]
    higher_is_better: bool
    decides: bool


def find_sklearn_metric(name: str) -> Metric:
    """The metric called `name` in scikit-learn.

    Raises:
        InputError: no scorer or metric function has that name; names the nearest.
    """
    from sklearn import metrics

    if name in metrics.get_scorer_names():
        scorer = metrics.get_scorer(name)
        decides = scorer._response_method == "predict"
        return Metric(lambda labels, outputs: float(scorer(_given(outputs.shape[1:]), outputs, labels)), True, decides)
    if name not in sklearn_metric_names():
        raise InputError(f"no metric '{name}'; {nearest(name, ['accuracy', 'loss', *sklearn_metric_names()])}")
    function = getattr(metrics, name)
    decides = _second_parameter(function) == "y_pred"
    direction = next(higher for ending, higher in _DIRECTIONS.items() if name.endswith(ending))
    return Metric(lambda labels, outputs: float(function(labels, _shown(outputs, decides))), direction, decides)


def sklearn_metric_names() -> list[str]:
    """Names of the scorers, and of the metric functions whose direction their name tells."""
    from sklearn import metrics

    functions = [
        name
        for name, value in vars(metrics).items()
        if name.endswith(tuple(_DIRECTIONS)) and _second_parameter(value) in ("y_pred", "y_score", "y_proba")
    ]
    return sorted({*metrics.get_scorer_names(), *functions})


def _second_parameter(function: Any) -> str:
    names = list(inspect.signature(function).parameters) if inspect.isfunction(function) else []
    return names[1] if names[:1] == ["y_true"] and len(names) > 1 else ""


def _shown(outputs: Array, decides: bool) -> Array:
    """What a metric function wants to see of the outputs: decisions, or scores (of class 1 where there are two)."""
    if outputs.ndim == 1:
        return outputs
    if decides:
        return np.asarray(outputs.argmax(axis=1))
    return outputs[:, 1] if outputs.shape[1] == 2 else outputs


@cache
def _given(shape: tuple[int, ...]) -> Any:
    """An estimator that returns the outputs which are passed to it, since a scorer insists on an estimator.

    Args:
        shape: of the outputs of one sample, (classes,) or ().
    """
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class GivenValues(RegressorMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]
        def predict(self, values: Array) -> Array:
            return values

    class GivenClasses(ClassifierMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]
        classes_ = np.arange(sum(shape))

        def predict(self, probabilities: Array) -> Array:
            return np.asarray(probabilities.argmax(axis=1))

        def predict_proba(self, probabilities: Array) -> Array:
            return probabilities

    return GivenClasses() if shape else GivenValues()
