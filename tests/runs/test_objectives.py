"""Objectives: resolution by name, weights, floors, and paired gains."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.runs.config import ObjectiveConfig
from mergesearch.runs.objectives import Objectives

METRICS = {"sums": {"acc": True, "loss": False}, "copy": {"acc": True}}


def resolve(*entries: str | dict[str, object]) -> Objectives:
    configs = [ObjectiveConfig(**({"metric": entry} if isinstance(entry, str) else entry)) for entry in entries]
    return Objectives.resolve(configs, METRICS)


def test_direction_comes_from_the_metric_unless_given() -> None:
    objectives = resolve("sums/acc", "sums/loss", {"metric": "copy/acc", "direction": "minimize"})
    assert objectives.signs.tolist() == [-1.0, 1.0, 1.0]
    assert objectives.tasks == ["sums", "copy"]
    assert Objectives.from_plain(objectives.to_plain()) == objectives


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        ("sum/acc", "no task 'sum' in 'sum/acc'; did you mean 'sums'"),
        ("copy/loss", "task 'copy' has no metric 'loss'; known: acc"),
        ("acc", "'acc' is no objective; write it as task/metric"),
    ],
)
def test_unknown_names_say_what_there_is(metric: str, text: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve(metric)
    assert text in str(caught.value)


def test_floors_in_the_metrics_own_unit() -> None:
    objectives = resolve({"metric": "sums/acc", "floor": 0.5}, {"metric": "sums/loss", "floor": 2.0}, "copy/acc")
    assert objectives.violations([0.4, 1.5, 0.0]) == pytest.approx((0.1, -0.5))


def test_weights_alike_for_one_metric_and_by_range_for_several() -> None:
    assert resolve("sums/acc", "copy/acc").weights(np.empty((0, 2))).tolist() == [0.5, 0.5]
    values = np.array([[0.2, 10.0], [0.4, 30.0]])
    assert resolve("sums/acc", "sums/loss").weights(values) == pytest.approx(np.array([5.0, 0.05]) / 5.05)
    given = resolve({"metric": "sums/acc", "weight": 3}, "sums/loss")
    assert given.weights(values).tolist() == [0.75, 0.25]


def test_a_missing_metric_is_a_failed_trial() -> None:
    with pytest.raises(TrialError, match="the evaluators returned no copy/acc"):
        resolve("copy/acc").pick({"copy": {}})
