"""Text classification with models of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from mergesearch.errors import InputError
from mergesearch.evaluators._labelled.labels import class_numbers
from mergesearch.evaluators.text_classification import TextClassificationEvaluator

CLASSES = ["bad", "fair", "good"]


@pytest.fixture
def reviews(make: Any, tmp_path: Path) -> Path:
    path: Path = make("write_reviews", tmp_path)
    return path


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_scores_are_those_of_the_pipeline(reviews: Path, make: Any, tokenizer: Any) -> None:
    from transformers import pipeline

    model = make("tiny_bert")
    evaluator = TextClassificationEvaluator(
        "reviews", str(reviews), metrics=["accuracy", "loss", "entropy", "f1_macro"], batch_size=7
    )
    evaluator.prepare(model, tokenizer)
    scores = evaluator.score(model, {"reviews": np.arange(40)})["reviews"]
    rows = _rows(reviews)
    classify = pipeline("text-classification", model=model, tokenizer=tokenizer, top_k=None, device="cpu")
    answers: Any = classify([row["text"] for row in rows])
    found = [{one["label"]: one["score"] for one in each} for each in answers]
    chances = np.array([[each[name] for name in CLASSES] for each in found])
    labels = np.array([CLASSES.index(row["label"].lower()) for row in rows])
    hits, losses = chances.argmax(1) == labels, -np.log(chances[np.arange(40), labels])
    assert 0.1 < hits.mean() < 0.9
    np.testing.assert_array_equal(np.asarray(scores["accuracy"].samples), hits)
    np.testing.assert_allclose(np.asarray(scores["loss"].samples), losses, rtol=1e-4)
    np.testing.assert_allclose(
        np.asarray(scores["entropy"].samples), -(chances * np.log(chances)).sum(1), rtol=1e-4, atol=1e-5
    )
    assert scores["f1_macro"].value == pytest.approx(sk.f1_score(labels, chances.argmax(1), average="macro"))


def test_pairs_are_read_as_the_model_reads_them(reviews: Path, make: Any, tokenizer: Any) -> None:
    model, rows = make("tiny_bert"), _rows(reviews)
    evaluator = TextClassificationEvaluator("pairs", str(reviews), text=["text", "reply"], metrics=["loss"])
    evaluator.prepare(model, tokenizer)
    found = evaluator.score(model, {"pairs": np.arange(3, 40)})["pairs"]["loss"]
    labels = [CLASSES.index(row["label"].lower()) for row in rows]
    with torch.no_grad():
        each = [
            model(**tokenizer(row["text"], row["reply"], return_tensors="pt"), labels=torch.tensor([label])).loss.item()
            for row, label in zip(rows, labels, strict=True)
        ]
    np.testing.assert_allclose(np.asarray(found.samples), each[3:], rtol=1e-4)


@pytest.mark.parametrize("side", ["left", "right"])
def test_decoders_find_the_end_of_padded_texts(reviews: Path, tokenizer: Any, side: str) -> None:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    sizes |= {"num_labels": 1, "problem_type": "regression"}
    config = LlamaConfig(**sizes, vocab_size=260, pad_token_id=258)
    model, before = LlamaForSequenceClassification(config).eval(), tokenizer.padding_side
    tokenizer.padding_side = side
    try:
        evaluator = TextClassificationEvaluator("grades", str(reviews), label="grade", metrics=["loss"])
        evaluator.prepare(model, tokenizer)
    finally:
        tokenizer.padding_side = before
    found = evaluator.score(model, {"grades": np.arange(40)})["grades"]["loss"]
    with torch.no_grad():
        outputs = [model(**tokenizer(row["text"], return_tensors="pt")).logits.item() for row in _rows(reviews)]
    expected = (np.array(outputs) - [row["grade"] for row in _rows(reviews)]) ** 2
    np.testing.assert_allclose(np.asarray(found.samples), expected, rtol=1e-3, atol=1e-5)


def test_texts_without_labels_have_an_entropy(reviews: Path, make: Any, tokenizer: Any) -> None:
    evaluator = TextClassificationEvaluator("screen", str(reviews), label=None)
    assert evaluator.metrics() == {"screen": {"entropy": False}}
    evaluator.prepare(make("tiny_bert"), tokenizer)
    assert evaluator.differentiable() == {"screen": ("entropy",)}
    with pytest.raises(InputError, match="evaluator 'screen' has no labels for loss; name their column"):
        TextClassificationEvaluator("screen", str(reviews), label=None, metrics=["entropy", "loss"])


def test_long_texts_are_cut(reviews: Path, make: Any, tokenizer: Any) -> None:
    text = "red river " * 40
    reviews.write_text(json.dumps({"text": text, "label": "good"}) + "\n")
    model = make("tiny_bert")
    found = []
    for limit in (None, 128, 9):
        evaluator = TextClassificationEvaluator("long", str(reviews), metrics=["loss"], max_length=limit)
        evaluator.prepare(model, tokenizer)
        found.append(evaluator.score(model, {"long": np.arange(1)})["long"]["loss"].value)
    with torch.no_grad():
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        expected = [model(ids[:, :size], labels=torch.tensor([2])).loss.item() for size in (128, 128, 9)]
    assert found == pytest.approx(expected, rel=1e-4)


def test_labels_are_numbered_as_the_model_numbers_them() -> None:
    config = SimpleNamespace(label2id={"No": 0, "Yes": 1})
    assert class_numbers("it", ["yes", "NO"], (), config).tolist() == [1, 0]
    assert class_numbers("it", ["yes", "NO"], (), SimpleNamespace(id2label={0: "no", 1: "yes"})).tolist() == [1, 0]
    assert class_numbers("it", [0, 1, 1], ["yes", "no"], config).tolist() == [1, 0, 0]
    assert class_numbers("it", [0, 1, 1], ["up", "down"], config).tolist() == [0, 1, 1]
    assert class_numbers("it", [False, True], (), None).tolist() == [0, 1]
    assert class_numbers("it", [0.5, 1], (), config).dtype == np.float64
    with pytest.raises(InputError, match=r"it: label 'maybe' is no class of the model; .*known: no, yes"):
        class_numbers("it", ["yes", "maybe"], (), config)
    with pytest.raises(InputError, match="it: label -1 is negative; take a split that has labels"):
        class_numbers("it", [1, -1], ["no", "yes"], config)
    with pytest.raises(InputError, match="it: labels are of type int and str; give one number or one name"):
        class_numbers("it", [1, "no"], (), config)


def test_models_and_options_that_do_not_fit_are_refused_before_the_search(
    reviews: Path, make: Any, tokenizer: Any, llama: Any
) -> None:
    one = TextClassificationEvaluator("reviews", str(reviews))
    with pytest.raises(InputError, match="evaluator 'reviews' needs a tokenizer"):
        one.prepare(make("tiny_bert"), None)
    with pytest.raises(InputError, match="label 'Good' is no class of the model; known: bad"):
        one.prepare(make("tiny_bert", classes=1), tokenizer)
    with pytest.raises(InputError, match="call prepare with it first"):
        TextClassificationEvaluator("reviews", str(reviews)).labels("reviews")
    graded = TextClassificationEvaluator("reviews", str(reviews), label="grade", metrics=["loss"])
    with pytest.raises(InputError, match="'reviews' has floating labels, but the model gives 3 outputs; it needs 1"):
        graded.prepare(make("tiny_bert"), tokenizer)
    screen = TextClassificationEvaluator("screen", str(reviews), label=None)
    with pytest.raises(InputError, match=r"the model's outputs have shape .*; give samples x classes"):
        screen.prepare(llama, tokenizer)
    with pytest.raises(InputError, match="has no column ''; known: grade, label, reply, text"):
        TextClassificationEvaluator("reviews", str(reviews), label="")
    with pytest.raises(InputError, match=r"text = \['a', 'b', 'c'\]; name one column, or the two of a pair"):
        TextClassificationEvaluator("reviews", str(reviews), text=["a", "b", "c"])
    reviews.write_text('{"text": "", "label": "good"}\n')
    with pytest.raises(InputError, match="evaluator 'reviews': text 1 has no tokens; remove it"):
        TextClassificationEvaluator("reviews", str(reviews)).prepare(make("tiny_bert"), tokenizer)


def test_a_members_head_is_set_on_the_live_models_body(
    reviews: Path, make: Any, tokenizer: Any, tmp_path: Path
) -> None:
    live, member = make("tiny_bert", 0, 1), make("tiny_bert", 1, 3)
    member.save_pretrained(tmp_path / "member")
    evaluator = TextClassificationEvaluator("heads", str(reviews), metrics=["loss"], head=str(tmp_path / "member"))
    before = evaluator.fingerprint()
    evaluator.prepare(live, tokenizer)
    assert evaluator.fingerprint() != before
    member.bert.load_state_dict(live.bert.state_dict())
    own = TextClassificationEvaluator("heads", str(reviews), metrics=["loss"])
    own.prepare(member, tokenizer)
    rows = {"heads": np.arange(40)}
    expected = own.score(member, rows)["heads"]["loss"].value
    assert evaluator.score(live, rows)["heads"]["loss"].value == expected
    state = {name: value.clone() for name, value in live.state_dict().items()}
    assert evaluator.backward(live, "heads", "loss", np.arange(40)).value == pytest.approx(expected)
    own.backward(member, "heads", "loss", np.arange(40))
    for (name, weight), other in zip(live.bert.named_parameters(), member.bert.parameters(), strict=True):
        assert weight.grad is not None and other.grad is not None, name
        torch.testing.assert_close(weight.grad, other.grad)
    assert live.classifier.weight.grad is None and not live.training
    with torch.no_grad():
        live.bert.encoder.layer[0].output.dense.weight.neg_()
    assert evaluator.score(live, rows)["heads"]["loss"].value != expected
    assert all(state[name].equal(value) for name, value in live.state_dict().items() if "layer.0.output" not in name)


def test_heads_of_other_models_are_refused(reviews: Path, make: Any, tokenizer: Any, tmp_path: Path) -> None:
    def prepared(path: Path) -> None:
        TextClassificationEvaluator("heads", str(reviews), head=str(path)).prepare(make("tiny_bert"), tokenizer)

    with pytest.raises(InputError, match=r"evaluator 'heads': loading the head of '.*' failed with"):
        prepared(tmp_path / "nowhere")
    make("tiny_bert").bert.save_pretrained(tmp_path / "body")
    with pytest.raises(InputError, match=r"'.*body' lacks classifier\.bias; give a classifier that was trained"):
        prepared(tmp_path / "body")
    from transformers import DistilBertConfig, DistilBertForSequenceClassification

    sizes: dict[str, Any] = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 260}
    DistilBertForSequenceClassification(DistilBertConfig(**sizes)).save_pretrained(tmp_path / "other")
    with pytest.raises(
        InputError, match=r"head of '.*other' stands on DistilBertModel, and the live model is BertModel"
    ):
        prepared(tmp_path / "other")
