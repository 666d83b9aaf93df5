"""Several evaluators as one, and their configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.build import build_evaluators
from mergesearch.evaluators.panel import Panel, find_metric


@pytest.fixture
def config(tiny_file: str) -> dict[str, dict[str, Any]]:
    metrics = {"size": "minimize", "rank": "maximize"}
    return {
        "shapes": {"kind": "dataloader", "dataset": f"{tiny_file}:blobs", "metrics": ["accuracy", "loss"]},
        "weights": {"kind": "callable", "function": f"{tiny_file}:weight_size", "samples": 20, "metrics": metrics},
    }


def _code(folder: Any, body: str) -> str:
    path = folder / "scorer.py"
    path.write_text(f"import math\n\ndef score(model, samples):\n    return {body}\n")
    return f"{path}:score"


def test_a_panel_scores_the_tasks_of_all_its_evaluators(config: dict[str, Any], make: Any) -> None:
    panel, model = build_evaluators(config), make("tiny_net")
    panel.prepare(model, None)
    assert panel.tasks() == {"shapes": 60, "weights": 20}
    assert panel.metrics()["weights"] == {"size": False, "rank": True}
    scores = panel.score(model, {"weights": np.array([1, 7]), "shapes": np.arange(10)})
    assert list(scores) == ["weights", "shapes"]
    assert np.asarray(scores["weights"]["rank"].samples).tolist() == [1.0, 7.0]
    assert np.asarray(scores["shapes"]["loss"].samples).size == 10
    assert list(panel.score(model, {"shapes": np.arange(3)})) == ["shapes"]


def test_the_fingerprint_depends_on_options_but_not_on_order(config: dict[str, Any]) -> None:
    first = build_evaluators(config).fingerprint()
    assert first == build_evaluators(dict(reversed(config.items()))).fingerprint()
    config["weights"]["arguments"] = {"scale": 2.0}
    assert first != build_evaluators(config).fingerprint()


def test_a_task_claimed_twice_names_both_evaluators(config: dict[str, Any], make: Any) -> None:
    config["more"] = {"kind": "dataloader", "dataset": config["shapes"]["dataset"], "tasks": {"weights": {}}}
    panel = build_evaluators(config)
    for ask in (panel.tasks, lambda: panel.prepare(make("tiny_net"), None)):
        with pytest.raises(InputError, match="task 'weights' belongs to two evaluators, 'weights' and 'more'"):
            ask()


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"kind": "calable"}, "nothing called 'calable' in evaluators; did you mean 'callable'"),
        ({"kind": None}, "evaluator 'weights' has no kind; give it one of: agreement, answers, callable, command"),
        ({"sample": 3}, "evaluator 'weights' has no option 'sample'; did you mean 'samples'"),
        ({"function": None}, "evaluator 'weights' lacks function"),
        ({"samples": "20"}, "evaluator 'weights': samples = '20'; Input should be a valid integer"),
        ({"metrics": ["size"]}, r"evaluator 'weights': metrics = \['size'\]; Input should be"),
        (
            {"kind": "frechet", "metrics": "recall", "function": None}
            | dict.fromkeys(("generator", "reference", "extractor"), "math:sin")
            | {"shape": [1], "arguments": {}},
            "evaluator 'weights': metrics = 'recall'; give a list",
        ),
    ],
)
def test_bad_configurations_name_the_nearest(config: dict[str, Any], change: dict[str, Any], text: str) -> None:
    merged = {**config["weights"], **change}
    config["weights"] = {key: value for key, value in merged.items() if value is not None}
    with pytest.raises(InputError, match=text):
        build_evaluators(config)


def test_an_error_says_whose_it_is(tmp_path: Path, make: Any) -> None:
    with pytest.raises(InputError, match=r"^evaluator 'mine': no file 'nowhere\.jsonl'; check the path"):
        build_evaluators({"mine": {"kind": "answers", "file": "nowhere.jsonl"}})
    (tmp_path / "prompts.txt").write_text("long " * 80)
    panel = build_evaluators({"mine": {"kind": "judge", "file": str(tmp_path / "prompts.txt"), "command": "true"}})
    with pytest.raises(
        InputError, match=r"^evaluator 'mine': prompts and answers take up to \d+ tokens, but the model attends to 256"
    ):
        panel.prepare(make("tiny_llama"), make("tiny_tokenizer"))


def test_an_empty_configuration_is_refused() -> None:
    with pytest.raises(InputError, match="no evaluators are configured"):
        build_evaluators({})


def test_an_evaluator_from_a_users_file(tmp_path: Any) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from mergesearch.evaluators.callable import CallableEvaluator\n\n"
        "class Mine(CallableEvaluator):\n    pass\n\ndef score(model, samples):\n    return samples * 1.0\n"
    )
    panel = build_evaluators({"own": {"kind": f"{path}:Mine", "function": f"{path}:score", "samples": 4}})
    assert panel.tasks() == {"own": 4}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("samples * math.nan", "own/score: 3 of 3 values are not finite"),
        ("[1.0]", r"own/score: 1 values of shape \(1,\) for 3 samples"),
    ],
)
def test_bad_scores_fail_the_trial(tmp_path: Any, body: str, text: str) -> None:
    panel = build_evaluators({"own": {"kind": "callable", "function": _code(tmp_path, body), "samples": 3}})
    with pytest.raises(TrialError, match=text):
        panel.score(None, {"own": np.arange(3)})


def test_the_panel_holds_a_foreign_evaluator_to_the_contract(tmp_path: Any) -> None:
    from mergesearch.evaluators.callable import CallableEvaluator
    from mergesearch.evaluators.statistics.scores import MetricScores

    class Sloppy(CallableEvaluator):
        def score(self, model: Any, samples: Any) -> Any:
            return {"own": model}

    panel = Panel([Sloppy("own", _code(tmp_path, "1.0"), samples=3)])
    rows = {"own": np.arange(3)}
    with pytest.raises(TrialError, match="evaluator 'own' returned no score for task 'own'"):
        panel.score({}, rows)
    with pytest.raises(TrialError, match="own/score has 2 values for 3 samples"):
        panel.score({"score": MetricScores.mean([1.0, 2.0])}, rows)
    with pytest.raises(TrialError, match="own/score is inf"):
        panel.score({"score": MetricScores.mean([1.0, 2.0, float("inf")])}, rows)


def test_unknown_tasks_and_empty_requests_are_refused(config: dict[str, Any]) -> None:
    panel = build_evaluators(config)
    with pytest.raises(InputError, match="no evaluator has a task 'shape'; did you mean 'shapes'"):
        panel.score(None, {"shape": np.arange(3)})
    with pytest.raises(InputError, match="no samples were asked of task 'shapes'"):
        panel.score(None, {"shapes": np.arange(0)})


def test_objectives_are_resolved_to_task_and_metric() -> None:
    metrics = {"arc": {"acc": True}, "my/task": {"acc": True, "loss": False}}
    assert find_metric(metrics, "arc/acc") == ("arc", "acc")
    assert find_metric(metrics, "my/task/loss") == ("my/task", "loss")
    with pytest.raises(InputError, match="'arc' is no objective; write it as task/metric; did you mean 'arc/acc'"):
        find_metric(metrics, "arc")
    with pytest.raises(InputError, match="no task 'ark' in 'ark/acc'; did you mean 'arc'"):
        find_metric(metrics, "ark/acc")
    with pytest.raises(InputError, match=r"task 'arc' has no metric 'acc_norm'; did you mean 'acc'\? \(known: acc\)"):
        find_metric(metrics, "arc/acc_norm")
