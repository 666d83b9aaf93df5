"""Answers to a batch of prompts: those to each prompt alone, from fewer tokens, and within the room that is allowed."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergesearch.evaluators._lm_eval import generations
from mergesearch.evaluators._lm_eval.abilities import Abilities, Kept, abilities_of
from mergesearch.evaluators._lm_eval.generations import Prompt
from mergesearch.evaluators._lm_eval.greedy import Endings, answers, plan_batch
from mergesearch.evaluators._lm_eval.prompts import plan_reading, read
from mergesearch.evaluators._lm_eval.stages import whole
from mergesearch.evaluators.lm_eval import LMEvalEvaluator

_LENGTH = 6
_PROMPTS = st.lists(st.lists(st.integers(97, 99), min_size=1, max_size=7), min_size=1, max_size=12)


def _alone(model: Any, prompt: list[int], ends: list[int]) -> list[int]:
    tokens = torch.tensor([prompt])
    found = model.generate(
        tokens,
        attention_mask=torch.ones_like(tokens),
        max_length=len(prompt) + _LENGTH,
        do_sample=False,
        eos_token_id=ends,
        pad_token_id=258,
    )
    return list(found[0, len(prompt) :].tolist())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=10)
@given(_PROMPTS, st.integers(1, 30), st.sampled_from([0.0, 5.0, 1e9]), st.booleans())
def test_each_prompt_gets_the_answer_that_it_gets_alone(
    llama: Any, tokenizer: Any, prompts: list[list[int]], budget: int, per_pass: float, kept: bool
) -> None:
    found = abilities_of(llama)
    abilities = Abilities(found.select, found.share, found.kept if kept else None, per_pass)
    ends = list({_alone(llama, prompts[0], [257])[-1], 257})  # so that some rows end before others
    order, batch = plan_batch(prompts, budget, abilities)
    rows = answers(llama, tokenizer, batch, abilities, Endings(ends, [], _LENGTH))
    assert sorted(order) == list(range(len(prompts)))
    for number, row in zip(order, rows, strict=True):
        truth = _alone(llama, prompts[number], ends)
        assert row[: len(truth)] == truth


@given(_PROMPTS, st.integers(1, 30), st.sampled_from([0.0, 5.0, 1e9]))
def test_a_reading_holds_every_prompt_within_its_budget(prompts: list[list[int]], budget: int, per_pass: float) -> None:
    reading = plan_reading(prompts, budget, per_pass)
    tokens = whole(reading.stages)
    assert [tokens[row, : len(prompts[one])].tolist() for row, one in enumerate(reading.order)] == [
        prompts[one] for one in reading.order
    ]
    start = 0
    for stage, passes in zip(reading.stages, reading.passes, strict=True):
        assert [row for rows, _ in passes for row in range(rows.start, rows.stop)] == list(range(len(stage.tokens)))
        assert all((start + wide) * (rows.stop - rows.start) <= max(budget, start + wide) for rows, wide in passes)
        start += stage.tokens.shape[1]
    last = start - reading.stages[-1].tokens.shape[1]
    for rows, wide in reading.passes[-1]:
        assert wide == max(1, *(len(prompts[one]) - last for one in reading.order[rows]))


@pytest.mark.parametrize("room", [0, 2, 9])
def test_a_cache_with_and_without_room_holds_the_same(llama: Any, room: int) -> None:
    prompts = [[97, 98, 99, 100], [97, 98, 101, 102], [97, 98, 99, 103]]
    reading = plan_reading(prompts, 4, 0.0)
    assert len(reading.stages) > 1
    assert max(map(len, reading.passes)) > 1
    cache = read(llama, reading, 2, room, True)
    tokens, further = torch.from_numpy(whole(reading.stages)), torch.tensor([[104], [105], [106]])
    with torch.no_grad():
        for step in range(4):
            found = llama(further, past_key_values=cache, use_cache=True).logits[:, -1]
            tokens = torch.cat([tokens, further], dim=1)
            torch.testing.assert_close(found, llama(tokens).logits[:, -1], rtol=1e-5, atol=5e-5)
            further = found.argmax(dim=-1, keepdim=True)
            if step == 1:
                cache.keep(torch.tensor([2, 0]))
                tokens, further = tokens[[2, 0]], further[[2, 0]]
    assert cache.get_seq_length() == 8


def test_what_a_model_keeps_of_a_token(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    heads = llama.config.num_key_value_heads * llama.config.head_dim
    layers = llama.config.num_hidden_layers
    assert abilities_of(llama).kept == Kept(layers, layers * 2 * heads * 4)
    for setting, value in (("cache_implementation", "static"), ("no_repeat_ngram_size", 2)):
        with monkeypatch.context() as patch:  # `generate` would refuse our cache, or see the gap in a prompt
            patch.setattr(llama.generation_config, setting, value)
            assert abilities_of(llama).kept is None


@pytest.fixture(scope="module")
def evaluator(llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    home = tmp_path_factory.mktemp("shots")
    content = json.loads((tasks_folder / "tiny_generate.yaml").read_text())
    content |= {"task": "own", "num_fewshot": 2, "fewshot_split": "test", "fewshot_config": {"sampler": "first_n"}}
    (home / "own.yaml").write_text(json.dumps(content))
    one = LMEvalEvaluator("language", ["own"], include_path=str(home), batch_size=2)
    with pytest.MonkeyPatch.context() as patch:  # though this model is too small to gain by further passes
        patch.setattr("mergesearch.evaluators._lm_eval.abilities._pass_in_tokens", lambda model: 0.0)
        one.prepare(llama, tokenizer)
    return one


def _shapes(model: Any, run: Callable[[], object]) -> list[tuple[int, ...]]:
    """Shapes of all token tensors that the model was called with."""
    found = []

    def note(module: Any, inputs: Any, options: Any) -> None:
        found.append(tuple(options.get("input_ids", inputs[0] if inputs else None).shape))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    run()
    handle.remove()
    return found


def _steps(model: Any, run: Callable[[], object]) -> list[int]:
    """Rows of each call that read a single token of each."""
    return [rows for rows, width in _shapes(model, run) if width == 1]


def test_rows_that_are_done_are_dropped(llama: Any, tokenizer: Any) -> None:
    prompts = [[97, one, other] for one in range(97, 101) for other in range(97, 103)]
    order, batch = plan_batch(prompts, 1000, abilities_of(llama))
    ends, found = [220], list[list[int]]()  # for some answers begin with it, and some have it later
    asked = llama, tokenizer, batch, abilities_of(llama), Endings(ends, [], _LENGTH)
    steps = _steps(llama, lambda: found.extend(answers(*asked)))
    assert steps[0] == 24
    assert steps[-1] <= 12
    for number, row in zip(order, found, strict=True):
        truth = _alone(llama, prompts[number], ends)
        assert row[: len(truth)] == truth


def test_examples_in_common_are_read_once(llama: Any, evaluator: Any) -> None:
    shapes = _shapes(llama, lambda: evaluator.score(llama, {"own": np.arange(24)}))
    prompts = [len(prompt.tokens) for prompt in evaluator._answering._ways[1]._prompts.values()]
    assert sum(rows * width for rows, width in shapes if width > 1) < sum(prompts) / 2


def test_more_rows_than_a_batch_stand_together_only_where_they_take_little_room(
    llama: Any, evaluator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"own": np.arange(24)}
    assert max(_steps(llama, lambda: evaluator.score(llama, rows))) == 24
    monkeypatch.setattr(generations, "_LITTLE", 0)
    evaluator._answering._plans.clear()
    steps = _steps(llama, lambda: evaluator.score(llama, rows))
    evaluator._answering._plans.clear()
    assert max(steps) <= 3  # two of the longest, and of shorter ones as many as take that room


def test_an_answer_that_was_given_before_is_not_scored_again(
    llama: Any, evaluator: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = {"own": np.arange(24)}
    first = evaluator.score(llama, rows)["own"]["exact_match"].samples

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("scored again")

    monkeypatch.setattr("lm_eval.api.metrics.exact_match_hf_evaluate", refuse)
    assert np.array_equal(evaluator.score(llama, rows)["own"]["exact_match"].samples, first)
    other = make("tiny_llama")
    torch.manual_seed(1)
    other.lm_head.weight.data.normal_()
    with pytest.raises(AssertionError, match="scored again"):
        evaluator.score(other, rows)


def test_an_answer_ends_with_the_first_token_that_ends_a_text() -> None:
    assert generations._until_end([5, 7, 6, 7], [7, 9]) == [5, 7]
    assert generations._until_end([5, 6], [7, 9]) == [5, 6]


@pytest.mark.parametrize(("own", "ends"), [([5, 7], [5, 7, 257]), (257, [257]), (None, [257])])
def test_the_tokenizers_own_end_ends_a_text_beside_the_models(
    own: Any, ends: list[int], llama: Any, evaluator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llama.generation_config, "eos_token_id", own)
    assert generations._ends(evaluator._answering._ways[1]._model) == ends


def test_prompts_that_end_otherwise_do_not_stand_together() -> None:
    """Nor do such as take less than half as many steps, or more rows and tokens than there is room for."""
    prompts = [Prompt([1] * 4, (stop,), length) for stop, length in (("a", 8), ("b", 8), ("a", 4), ("a", 3), ("b", 7))]
    assert generations._batches(prompts, 9, 999) == [[0, 2], [3], [1, 4]]
    assert generations._batches(prompts, 1, 999) == [[0], [2], [3], [1], [4]]
    assert generations._batches(prompts, 9, 24) == [[0, 2], [3], [1, 4]]
    assert generations._batches(prompts, 9, 23) == [[0], [2, 3], [1], [4]]


@pytest.mark.parametrize(("spare", "taken"), [(1, True), (0, False), (-1, False)])
def test_answers_that_leave_a_prompt_no_room_go_to_the_library(spare: int, taken: bool, evaluator: Any) -> None:
    way, request = evaluator._answering._ways[1], copy.copy(evaluator._requests["own"][0][0])
    length = way._model.max_length - spare
    request.arguments = (request.args[0], {"until": ["\n"], "max_gen_toks": length})
    assert way.take(request) is taken
    way._prompts.pop(id(request), None)
