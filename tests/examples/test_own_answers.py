"""The proxy loss of AMA on a real expert: its own answers are likeliest under the expert itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from string_skills import documents

from mergesearch.evaluators._answering.generating import Sampling, generate_answers
from mergesearch.evaluators._texts.answers import write_answers
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session
from mergesearch.spaces.table import CoefficientTable


@pytest.mark.slow
def test_the_loss_on_an_experts_own_answers_is_flat_at_the_expert(zoo: Path, tmp_path: Path) -> None:
    """No slope at pre share 0 in any block, as far as a sample can tell; clear slopes away from there."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    expert = zoo / "llama" / "unique"  # the expert that is least sure of its answers
    prompts = [one.question for one in documents("unique", 300, [8], seed=4321)]
    model, tokenizer = LlamaForCausalLM.from_pretrained(expert), AutoTokenizer.from_pretrained(expert)
    answers = generate_answers(model, tokenizer, prompts, Sampling(samples=4, max_new_tokens=12, batch_size=100))
    write_answers(tmp_path / "answers.jsonl", answers)
    config = Config(
        models={"base": str(zoo / "llama" / "base"), "members": {"unique": str(expert)}, "device": "cpu"},
        space={"groups": {"ama": {"blocks": "layers"}}, "kind": "mean"},
        evaluators={"own": {"kind": "answers", "file": str(tmp_path / "answers.jsonl"), "batch_size": 100}},
        objectives=["own/loss"],
        out=str(tmp_path),
    )
    bench, rows = open_session(config).bench, np.arange(len(answers))
    found = {}
    for share in (1.0, 0.9, 0.6):
        bench.live.write(CoefficientTable.tied(np.array([share]), 4))
        with bench.live.pullback() as gradient:
            scores = bench.panel.backward(bench.live.model, "own", "loss", rows)
        found[share] = scores.value, gradient.members[:, 0]
    assert found[1.0][0] < found[0.9][0] < found[0.6][0]
    assert np.linalg.norm(found[1.0][1]) < 0.1 * np.linalg.norm(found[0.6][1])
    assert found[0.6][1].sum() < 0  # towards the expert the loss falls
