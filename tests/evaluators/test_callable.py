"""Any Python function as an evaluator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.callable import CallableEvaluator

ROWS = {"mine": np.array([0, 2])}


def _function(folder: Path, body: str, parameters: str = "model, samples") -> str:
    path = folder / "scorer.py"
    path.write_text(f"import numpy as np\nimport torch\n\ndef score({parameters}):\n    {body}\n")
    return f"{path}:score"


@pytest.mark.parametrize(
    "body", ["[1.0, 3.0]", "torch.tensor([1, 3], dtype=torch.bfloat16)", "np.float32(samples + 1)"]
)
def test_values_may_be_a_list_a_tensor_or_an_array(tmp_path: Path, body: str) -> None:
    evaluator = CallableEvaluator("mine", _function(tmp_path, f"return {body}"), samples=3)
    scores = evaluator.score(None, ROWS)["mine"]["score"]
    assert np.asarray(scores.samples).tolist() == [1.0, 3.0]
    assert scores.value == 2.0


def test_a_number_serves_for_a_single_sample(tmp_path: Path) -> None:
    evaluator = CallableEvaluator("mine", _function(tmp_path, "return 0.5"))
    assert evaluator.tasks() == {"mine": 1}
    assert evaluator.score(None, {"mine": np.array([0])})["mine"]["score"].value == 0.5


def test_model_arguments_and_tokenizer_reach_the_function(tmp_path: Path) -> None:
    body = "return {'a': samples * scale, 'b': samples + len(tokenizer)}"
    function = _function(tmp_path, body, "model, samples, scale, tokenizer")
    evaluator = CallableEvaluator("mine", function, 3, {"a": "maximize", "b": "minimize"}, {"scale": 2.0})
    evaluator.prepare(None, "four")
    scores = evaluator.score(None, ROWS)["mine"]
    assert np.asarray(scores["a"].samples).tolist() == [0.0, 4.0]
    assert np.asarray(scores["b"].samples).tolist() == [4.0, 6.0]
    assert evaluator.metrics() == {"mine": {"a": True, "b": False}}


def test_a_metric_without_values_per_sample_brings_its_own_bootstrap(tmp_path: Path) -> None:
    body = "from mergesearch import MetricScores; return MetricScores.aggregate(samples, np.median)"
    scores = CallableEvaluator("mine", _function(tmp_path, body), 3).score(None, ROWS)["mine"]["score"]
    assert scores.value == 1.0
    assert scores.samples is None


@pytest.mark.parametrize(
    ("body", "metrics", "text"),
    [
        ("return [1.0]", {"a": "maximize"}, r"mine/a: 1 values of shape \(1,\) for 2 samples; return one per sample"),
        ("return [1.0, np.nan]", {"a": "maximize"}, "mine/a: 1 of 2 values are not finite"),
        ("return ['x', 'y']", {"a": "maximize"}, r"mine/a: \['x', 'y'\] are no numbers"),
        ("return {'b': [1, 2]}", {"a": "maximize"}, "'mine' returned 'b', which is none of its metrics; known: a"),
        ("return {'a': [1, 2]}", {"a": "maximize", "b": "minimize"}, "'mine' did not return b"),
        ("return [1, 2]", {"a": "maximize", "b": "minimize"}, "returned list for 2 metrics; return a mapping"),
    ],
)
def test_bad_results_fail_the_trial(tmp_path: Path, body: str, metrics: dict[str, str], text: str) -> None:
    with pytest.raises(TrialError, match=text):
        CallableEvaluator("mine", _function(tmp_path, body), 3, metrics).score(None, ROWS)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"function": "no_such_module:f"}, "no module 'no_such_module'"),
        ({"function": "math:pi"}, "math:pi is 3.14.*, not a function"),
        ({"function": "math:sine"}, "'math' has no 'sine'; did you mean 'sin'"),
        ({"metrics": {"a": "maximise"}}, "metric 'a' of 'mine': 'maximise'; did you mean 'maximize'"),
        ({"metrics": {}}, "'mine' has no metrics; give one or more"),
        ({"samples": 0}, "0 samples"),
        (
            {"function": "os.path:join", "arguments": {"scale": 2}},
            r"'mine': os.path:join cannot be called as function\(model, samples, scale\): got an unexpected keyword",
        ),
        ({"function": "os.path:exists"}, r"cannot be called as function\(model, samples\): too many positional arg"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        CallableEvaluator("mine", **{"function": "math:hypot", **options})


def test_the_fingerprint_follows_the_functions_file(tmp_path: Path) -> None:
    first = CallableEvaluator("mine", _function(tmp_path, "return 1.0")).fingerprint()
    other = tmp_path / "elsewhere"
    other.mkdir()
    assert CallableEvaluator("mine", _function(other, "return 1.0")).fingerprint() == first
    assert CallableEvaluator("mine", _function(other, "return 1.0"), samples=2).fingerprint() != first
    third = tmp_path / "third"
    third.mkdir()
    assert CallableEvaluator("mine", _function(third, "return 2.0")).fingerprint() != first


def test_two_functions_of_one_file_differ(tmp_path: Path) -> None:
    path = tmp_path / "two.py"
    path.write_text("def one(model, samples):\n    return samples\n\ndef two(model, samples):\n    return -samples\n")
    one, two = (CallableEvaluator("mine", f"{path}:{name}").fingerprint() for name in ("one", "two"))
    assert one != two
