"""Similarity of pairs by embeddings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from mergesearch.errors import InputError
from mergesearch.evaluators.similarity import SimilarityEvaluator


@pytest.fixture
def pairs(make: Any, tmp_path: Path) -> Path:
    path: Path = make("write_reviews", tmp_path)
    return path


def _evaluator(pairs: Path, **options: Any) -> SimilarityEvaluator:
    return SimilarityEvaluator("pairs", str(pairs), **{"pair": ["text", "reply"], "gold": "grade", **options})


@pytest.mark.parametrize("normalise", [True, False])
def test_the_score_is_the_correlation_of_the_texts_own_similarities(
    pairs: Path, make: Any, tokenizer: Any, normalise: bool
) -> None:
    model = make("tiny_bert")
    evaluator = _evaluator(pairs, normalise=normalise, prompt="text: ", batch_size=7)
    evaluator.prepare(model, tokenizer)
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]

    def vector(text: str) -> torch.Tensor:
        hidden = model.bert(**tokenizer(f"text: {text}", return_tensors="pt")).last_hidden_state[0].mean(0)
        return torch.nn.functional.normalize(hidden, dim=0) if normalise else hidden

    with torch.no_grad():
        products = [(vector(row["text"]) @ vector(row["reply"])).item() for row in rows]
    for some in (np.arange(40), np.arange(5, 25)):
        found = evaluator.score(model, {"pairs": some})["pairs"]["spearman"]
        gold = np.array([row["grade"] for row in rows])
        assert found.value == pytest.approx(spearmanr(np.array(products)[some], gold[some]).statistic, abs=1e-6)
        assert found.samples is None and 0.05 < found.stderr < 0.5


def test_a_model_that_was_taught_similarities_scores_high(pairs: Path, make: Any, tokenizer: Any) -> None:
    model, evaluator = make("tiny_bert"), _evaluator(pairs)
    evaluator.prepare(model, tokenizer)
    before = evaluator.score(model, {"pairs": np.arange(40)})["pairs"]["spearman"].value
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    batches = [tokenizer([row[name] for row in rows], return_tensors="pt", padding=True) for name in ("text", "reply")]
    gold = torch.tensor([row["grade"] / 4 for row in rows])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        vectors = [
            (model.bert(**batch).last_hidden_state * batch["attention_mask"][..., None]).sum(1) for batch in batches
        ]
        (torch.nn.functional.cosine_similarity(*vectors) - gold).square().mean().backward()
        optimiser.step()
    after = evaluator.score(model, {"pairs": np.arange(40)})["pairs"]["spearman"].value
    assert after > max(before + 0.2, 0.6)


def test_what_cannot_be_used_is_refused(pairs: Path, make: Any) -> None:
    with pytest.raises(InputError, match=r"evaluator 'pairs': pair = \['text'\]; name two columns"):
        _evaluator(pairs, pair=["text"])
    with pytest.raises(InputError, match="evaluator 'pairs' needs a tokenizer"):
        _evaluator(pairs).prepare(make("tiny_bert"), None)
    with pytest.raises(InputError, match="evaluator 'pairs': gold = 'label' has 'Good', which is no number"):
        _evaluator(pairs, gold="label")
    pairs.write_text('{"text": "a", "reply": "b", "grade": 1}\n{"text": "c", "reply": "d", "grade": 1}\n')
    with pytest.raises(InputError, match=r"evaluator 'pairs': all gold similarities are 1\.0, which ranks nothing"):
        _evaluator(pairs)
