"""Retrieval by embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators._texts.relevance import Relevance
from mergesearch.evaluators.retrieval import RetrievalEvaluator


@pytest.fixture
def folder(make: Any, tmp_path: Path) -> Path:
    make("write_corpus", tmp_path)
    return tmp_path


def _evaluator(folder: Path, **options: Any) -> RetrievalEvaluator:
    files: dict[str, Any] = {part: str(folder / f"{part}.jsonl") for part in ("corpus", "queries")}
    return RetrievalEvaluator("search", **files, qrels=str(folder / "qrels.tsv"), **{"batch_size": 7, **options})


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _vector(model: Any, tokenizer: Any, text: str, pooling: str) -> np.ndarray:
    with torch.no_grad():
        hidden = model.bert(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
    return np.asarray({"mean": hidden.mean(0), "cls": hidden[0], "last": hidden[-1]}[pooling].double())


@pytest.mark.parametrize(("pooling", "normalise", "k"), [("mean", True, 10), ("cls", False, 5), ("last", True, 100)])
def test_scores_are_the_ndcg_of_the_texts_own_vectors(
    folder: Path, make: Any, tokenizer: Any, pooling: Any, normalise: bool, k: int
) -> None:
    model = make("tiny_bert")
    options = {"query_prompt": "q: ", "corpus_prompt": "d: "}
    evaluator = _evaluator(folder, pooling=pooling, normalise=normalise, k=k, **options)
    evaluator.prepare(model, tokenizer)
    assert evaluator.tasks() == {"search": 19}  # nothing is relevant to the first query
    corpus = [f"d: {(row['title'] + ' ' + row['text']).strip()}" for row in _rows(folder / "corpus.jsonl")]
    queries = [f"q: {row['text']}" for row in _rows(folder / "queries.jsonl")[1:]]
    documents, asked = (
        np.stack([_vector(model, tokenizer, text, pooling) for text in texts]) for texts in (corpus, queries)
    )
    if normalise:
        documents, asked = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (documents, asked))
    gold = np.zeros((20, 30))
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, score = line.split("\t")
        gold[int(query), int(document[1:])] = int(score)
    expected = [ndcg_score(gold[[row + 1]], asked[[row]] @ documents.T, k=k) for row in range(19)]
    found = evaluator.score(model, {"search": np.arange(19)})["search"][f"ndcg@{k}"]
    np.testing.assert_allclose(np.asarray(found.samples), expected, rtol=1e-6)
    assert 0.05 < found.value < 0.95


@given(st.data())
def test_ndcg_is_that_of_scikit_learn(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 12))
    gold = np.array(data.draw(st.lists(st.integers(0, 3), min_size=count, max_size=count).filter(any)), dtype=float)
    order = np.array(data.draw(st.permutations(range(count))))
    k = data.draw(st.integers(1, count))
    relevance = Relevance(["q"], [{place: gain for place, gain in enumerate(gold.tolist()) if gain}])
    scores = np.empty(count)
    scores[order] = -np.arange(count)
    found = relevance.ndcg(np.array([0]), order[None, :k])[0]
    assert found == pytest.approx(ndcg_score(gold[None], scores[None], k=k))


def test_the_corpus_is_embedded_once_for_every_candidate(folder: Path, make: Any, tokenizer: Any) -> None:
    model, texts = make("tiny_bert"), []
    evaluator = _evaluator(folder, batch_size=4)
    evaluator.prepare(model, tokenizer)
    model.register_forward_hook(lambda *_: None)
    model.bert.register_forward_pre_hook(lambda _, __, inputs: texts.append(len(inputs["input_ids"])), with_kwargs=True)

    def seen(rows: Any) -> tuple[int, float]:
        texts.clear()
        value = evaluator.score(model, {"search": rows})["search"]["ndcg@10"].value
        return sum(texts), value

    first, value = seen(np.arange(19))
    assert first > 30
    again, same = seen(np.arange(19))
    assert again < first - 30 + 5 and same == value
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight.neg_()  # in place, as the engine writes
    assert seen(np.arange(19))[0] == first
    changed = seen(np.arange(19))[1]
    assert changed != value
    hook = model.bert.encoder.layer[0].output.register_forward_hook(lambda _, __, out: out + 0.1 * out.roll(1, -1))
    assert seen(np.arange(19))[0] == first  # what stands beside the weights, as live adapters do, counts too
    hook.remove()


def test_what_does_not_fit_is_refused(folder: Path, make: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="evaluator 'search': k = 0; give 1 or more"):
        _evaluator(folder, k=0)
    qrels, before = folder / "qrels.tsv", (folder / "qrels.tsv").read_text()
    for line, text in (
        ("x9\td1\t1\n", "qrels judge query 'x9', which is not among the 20 queries"),
        ("1\tx9\t1\n", "qrels judge document 'x9', which is not among the 30 ones"),
    ):
        qrels.write_text(before + line)
        with pytest.raises(InputError, match=text):
            _evaluator(folder)
    qrels.write_text("query-id\tcorpus-id\tscore\n1\td1\t0\n")
    with pytest.raises(InputError, match=r"qrels find no document relevant \(score above 0\) to any query"):
        _evaluator(folder)
    qrels.write_text(before)
    with pytest.raises(InputError, match=r"evaluator 'search': the model failed with TypeError: .*; --debug"):
        _evaluator(folder).prepare(make("tiny_net"), tokenizer)
    (folder / "corpus.jsonl").write_text('{"text": "red"}\n')
    with pytest.raises(InputError, match="evaluator 'search': corpus has no column '_id'"):
        _evaluator(folder)


def test_weights_that_are_not_finite_fail_the_trial(folder: Path, make: Any, tokenizer: Any) -> None:
    model, evaluator = make("tiny_bert"), _evaluator(folder)
    evaluator.prepare(model, tokenizer)
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, 0] = torch.nan
    with pytest.raises(TrialError, match="the model's embeddings are not finite for 3 of 3 texts"):
        evaluator.score(model, {"search": np.arange(3)})
    with pytest.raises(InputError, match="embeddings are not finite for 1 of 1 texts, as it stands on disk"):
        _evaluator(folder).prepare(model, tokenizer)
