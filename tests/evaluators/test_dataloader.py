"""Any PyTorch model over datasets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator


@pytest.fixture
def blobs(tiny_file: str) -> str:
    return f"{tiny_file}:blobs"


def _direct(model: torch.nn.Module, dataset: Any) -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        return model.eval()(dataset.tensors[0]).double().numpy(), dataset.tensors[1].numpy()


def test_scores_are_those_of_the_libraries(blobs: str, make: Any) -> None:
    names = ["accuracy", "loss", "f1_macro", "roc_auc_ovr", "balanced_accuracy", "neg_log_loss"]
    evaluator = DataLoaderEvaluator("shapes", blobs, [*names, "hamming_loss"], batch_size=7)
    model = make("tiny_net")
    evaluator.prepare(model, None)
    scores = evaluator.score(model, {"shapes": np.arange(60)})["shapes"]
    logits, labels = _direct(model, make("blobs"))
    chances, decided = torch.from_numpy(logits).softmax(1).numpy(), logits.argmax(1)
    expected = {
        "accuracy": sk.accuracy_score(labels, decided),
        "loss": torch.nn.functional.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item(),
        "f1_macro": sk.f1_score(labels, decided, average="macro"),
        "roc_auc_ovr": sk.roc_auc_score(labels, chances, multi_class="ovr"),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, decided),
        "neg_log_loss": -sk.log_loss(labels, chances),
        "hamming_loss": sk.hamming_loss(labels, decided),
    }
    assert {name: one.value for name, one in scores.items()} == pytest.approx(expected, rel=1e-5)
    assert scores["f1_macro"].samples is None
    assert 0 < scores["f1_macro"].stderr < 0.2
    assert evaluator.metrics()["shapes"] == dict.fromkeys(expected, True) | {"loss": False, "hamming_loss": False}


def test_binary_metrics_see_the_scores_of_class_one(blobs: str, make: Any) -> None:
    names = ["roc_auc", "f1", "average_precision_score", "brier_score_loss"]
    evaluator = DataLoaderEvaluator("shapes", blobs, names, {"classes": 2})
    model = make("tiny_net", outputs=2)
    evaluator.prepare(model, None)
    scores = evaluator.score(model, {"shapes": np.arange(60)})["shapes"]
    logits, labels = _direct(model, make("blobs", classes=2))
    chance = torch.from_numpy(logits).softmax(1)[:, 1].numpy()
    assert scores["roc_auc"].value == pytest.approx(sk.roc_auc_score(labels, chance))
    assert scores["f1"].value == pytest.approx(sk.f1_score(labels, logits.argmax(1)))
    assert scores["average_precision_score"].value == pytest.approx(sk.average_precision_score(labels, chance))
    assert scores["brier_score_loss"].value == pytest.approx(sk.brier_score_loss(labels, chance))


def test_several_tasks_from_one_function(blobs: str, make: Any) -> None:
    tasks = {name: {"seed": seed} for seed, name in enumerate(("north", "east", "south", "west"))}
    evaluator = DataLoaderEvaluator("shapes", blobs, arguments={"count": 30}, tasks=tasks)
    assert evaluator.tasks() == dict.fromkeys(tasks, 30)
    assert evaluator.metrics() == {task: {"accuracy": True} for task in tasks}
    model = make("tiny_net")
    scores = evaluator.score(model, {name: np.arange(30) for name in tasks})
    for seed, name in enumerate(tasks):
        logits, labels = _direct(model, make("blobs", count=30, seed=seed))
        assert scores[name]["accuracy"].value == pytest.approx((logits.argmax(1) == labels).mean())


def test_regression_on_floating_labels(blobs: str, make: Any) -> None:
    evaluator = DataLoaderEvaluator("line", blobs, ["loss", "r2", "mean_absolute_error"], {"regression": True})
    model = make("tiny_net", outputs=1)
    evaluator.prepare(model, None)
    scores = evaluator.score(model, {"line": np.arange(60)})["line"]
    outputs, labels = _direct(model, make("blobs", regression=True))
    assert scores["loss"].value == pytest.approx(((outputs[:, 0] - labels) ** 2).mean(), rel=1e-5)
    assert scores["r2"].value == pytest.approx(sk.r2_score(labels, outputs[:, 0]), rel=1e-5)
    assert evaluator.metrics()["line"] == {"loss": False, "r2": True, "mean_absolute_error": False}


def test_models_of_transformers_and_inputs_by_keyword(tiny_file: str) -> None:
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=40)
    model = BertForSequenceClassification(config)
    scores = DataLoaderEvaluator("text", f"{tiny_file}:mappings", ["loss"]).score(model, {"text": np.arange(12)})
    assert scores["text"]["loss"].value == pytest.approx(np.log(2), abs=0.2)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"metrics": ["f1_macros"]}, "no metric 'f1_macros'; did you mean 'f1_macro'"),
        ({"metrics": ["confusion_matrix"]}, "no metric 'confusion_matrix'"),
        ({"metrics": "accuracy"}, "metrics = 'accuracy'; give a list"),
        ({"metrics": []}, r"metrics = \[\]"),
        ({"batch_size": 0}, "batch_size = 0"),
    ],
)
def test_bad_options_are_refused(blobs: str, options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        DataLoaderEvaluator("shapes", blobs, **options)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("[]", r"returned \[\], not a map-style dataset with samples"),
        ("iter([1])", "not a map-style dataset"),
        ("[1, 2]", r"a sample of .* is int, not \(input, label\)"),
        ("[(torch.ones(2), 0), (torch.ones(3), 1)]", "do not stack .*; pad them alike"),
        ("[(torch.ones(2), -1)]", "label -1 is negative; number the classes from 0"),
        ("[(torch.ones(2), torch.ones(2))]", r"labels stack to shape \(1, 2\)"),
    ],
)
def test_unusable_datasets_are_refused_by_task(tmp_path: Any, body: str, text: str) -> None:
    path = tmp_path / "data.py"
    path.write_text(f"import torch\n\ndef data():\n    return {body}\n")
    with pytest.raises(InputError, match=f"task 'mine': .*{text}"):
        DataLoaderEvaluator("mine", f"{path}:data").tasks()


def test_a_metric_that_does_not_suit_the_labels_is_refused_before_the_search(blobs: str, make: Any) -> None:
    evaluator = DataLoaderEvaluator("shapes", blobs, ["f1"])
    with pytest.raises(InputError, match=r"metric 'f1' does not suit task 'shapes': .*multiclass"):
        evaluator.prepare(make("tiny_net"), None)


def test_outputs_that_do_not_fit_are_refused(blobs: str, make: Any) -> None:
    rows = {"shapes": np.arange(6)}
    with pytest.raises(InputError, match="labels up to 2, but the model gives 2 outputs"):
        DataLoaderEvaluator("shapes", blobs).score(make("tiny_net", outputs=2), rows)
    with pytest.raises(InputError, match="has floating labels, but the model gives 3 outputs; it needs 1"):
        DataLoaderEvaluator("shapes", blobs, arguments={"regression": True}).score(make("tiny_net"), rows)


def test_weights_that_are_not_finite_fail_the_trial(blobs: str, make: Any) -> None:
    model = make("tiny_net")
    with torch.no_grad():
        model[0].weight[0, 0] = torch.nan
    with pytest.raises(TrialError, match="task 'shapes': the model's outputs are not finite for 6 of 6 samples"):
        DataLoaderEvaluator("shapes", blobs).score(model, {"shapes": np.arange(6)})


def test_a_metric_undefined_on_a_subset_fails_the_trial(blobs: str, make: Any) -> None:
    evaluator = DataLoaderEvaluator("shapes", blobs, ["roc_auc_ovr"])
    with pytest.raises(TrialError, match=r"shapes/roc_auc_ovr is undefined on these 1 samples"):
        evaluator.score(make("tiny_net"), {"shapes": np.array([3])})
