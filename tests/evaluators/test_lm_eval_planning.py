"""Plans of lm-eval requests: nothing is lost, what can be read once is, and nothing is planned twice."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.evaluators._lm_eval.packing import Budget, packed, parted, rows_of
from mergesearch.evaluators._lm_eval.pieces import Piece
from mergesearch.evaluators._lm_eval.stages import cuts, staged, whole
from mergesearch.evaluators._lm_eval.stops import settled
from mergesearch.evaluators.lm_eval import LMEvalEvaluator

_PIECES = st.lists(
    st.lists(st.integers(0, 2), min_size=2, max_size=7).flatmap(
        lambda tokens: st.builds(Piece, st.just(tokens), st.integers(1, len(tokens) - 1))
    ),
    min_size=1,
    max_size=12,
)
_MATRICES = st.integers(1, 7).flatmap(
    lambda width: st.lists(st.lists(st.integers(0, 2), min_size=width, max_size=width), min_size=1, max_size=9)
)


@given(_PIECES)
def test_every_piece_is_answered_by_one_row_that_it_begins(pieces: list[Piece]) -> None:
    rows = rows_of(pieces, range(len(pieces)))
    assert sorted(number for row in rows for number in row.pieces) == list(range(len(pieces)))
    for row in rows:
        assert any(tuple(pieces[number].read) == row.tokens for number in row.pieces)
        assert all(row.tokens[: len(pieces[number].read)] == tuple(pieces[number].read) for number in row.pieces)
        assert sum(other.tokens[: len(row.tokens)] == row.tokens for other in rows) == 1


@given(_PIECES, st.integers(1, 4), st.floats(0, 20))
def test_batches_hold_all_rows_within_their_budget(pieces: list[Piece], batch_size: int, per_pass: float) -> None:
    budget = Budget.of(pieces, batch_size)
    units = [rows_of(pieces, numbers) for numbers in (range(0, len(pieces), 2), range(1, len(pieces), 2)) if numbers]
    batches = packed(pieces, units, budget, per_pass)
    numbers = [number for batch in batches for row in batch for number in row.pieces]
    assert sorted(numbers) == list(range(len(pieces)))
    for batch in batches:
        assert len(batch) * max(len(row.tokens) for row in batch) <= budget.tokens
        assert sum(max(pieces[number].scored for number in row.pieces) for row in batch) <= budget.scored
    widths = [max(len(row.tokens) for row in batch) for batch in batches]
    assert widths == sorted(widths, reverse=True)


def _all_parts(count: int) -> Any:
    for mask in range(1 << (count - 1)):
        yield [0, *(place + 1 for place in range(count - 1) if mask >> place & 1), count]


@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=7),
    st.integers(1, 40),
    st.integers(1, 12),
    st.integers(0, 30),
)
def test_no_other_parts_cost_less(sizes: list[tuple[int, int, int]], tokens: int, scored: int, per_pass: int) -> None:
    sizes.sort(key=lambda one: -one[0])
    budget = Budget(tokens, scored)

    def cost(bounds: list[int]) -> float:
        total = 0.0
        for start, end in pairwise(bounds):
            padded = sizes[start][0] * sum(one[1] for one in sizes[start:end])
            held = padded <= tokens and sum(one[2] for one in sizes[start:end]) <= scored
            total += padded + per_pass if held or end - start == 1 else float("inf")
        return total

    found = parted(np.array(sizes), budget, per_pass)
    assert cost([0, *(end for _, end in found)]) == min(map(cost, _all_parts(len(sizes))))


@given(_MATRICES, st.integers(0, 20), st.data())
def test_stages_read_every_row_and_cost_the_least(matrix: list[list[int]], per_pass: int, data: Any) -> None:
    tokens = np.array(sorted(matrix))
    until = data.draw(st.integers(0, tokens.shape[1] - 1))
    stages = staged(tokens, until, per_pass)
    assert np.array_equal(whole(stages), tokens)
    assert tokens.shape[1] - stages[-1].tokens.shape[1] <= until

    def cost(ends: list[int]) -> int:
        distinct = [len({tuple(row[:end]) for row in tokens.tolist()}) for end in ends[:-1]]
        rows = [*distinct, len(tokens)]
        return sum(
            count * (end - start) + per_pass for count, (start, end) in zip(rows, pairwise([0, *ends]), strict=True)
        )

    spent = sum(stage.tokens.size + per_pass for stage in stages)
    width = tokens.shape[1]
    choices = ([end for end in range(1, until + 1) if mask >> end & 1] for mask in range(0, 2 << until, 2))
    assert spent == min(cost([*ends, width]) for ends in choices)


def test_a_beginning_is_not_worth_a_pass_that_costs_more() -> None:
    shared = np.array([6, 6, 6])  # four rows of ten tokens: 40, or 6 + 16
    assert cuts(shared, 8, 10, 17.0) == [6]
    assert cuts(shared, 8, 10, 19.0) == []
    assert cuts(shared, 4, 10, 0.0) == [4]
    assert cuts(shared, 8, 10, float("inf")) == []


def _cut(text: str, stops: list[str]) -> str:
    for stop in stops:
        text = text.split(stop)[0]
    return text


@given(
    st.text("ab", max_size=9), st.text("ab", max_size=9), st.lists(st.text("ab", min_size=1, max_size=3), min_size=1)
)
@example("ab", "a", ["ba", "ab"])
def test_nothing_that_follows_changes_a_settled_answer(answer: str, further: str, stops: list[str]) -> None:
    if settled(answer, stops):
        assert _cut(answer + further, stops) == _cut(answer, stops) != answer
    elif not any(stop in answer + further for stop in stops):
        assert _cut(answer + further, stops) == answer + further


@pytest.fixture(scope="module")
def make_task(tasks_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def task(of: str, **own: Any) -> LMEvalEvaluator:
        home = tmp_path_factory.mktemp("own")
        content = json.loads((tasks_folder / f"{of}.yaml").read_text()) | {"task": "own"} | own
        (home / "own.yaml").write_text(json.dumps(content))
        return LMEvalEvaluator("language", ["own"], include_path=str(home), batch_size=8)

    return task


def _shapes(model: Any, run: Any) -> list[tuple[int, ...]]:
    """Shapes of all token tensors that the model was called with."""
    found = []

    def note(module: Any, inputs: Any, options: Any) -> None:
        found.append(tuple(options.get("input_ids", inputs[0] if inputs else None).shape))

    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    run()
    handle.remove()
    return found


def test_choices_of_one_token_take_one_row(make_task: Any, llama: Any, tokenizer: Any) -> None:
    one = make_task("tiny_choice", doc_to_choice="{{['A', 'B', 'C', 'D']}}", target_delimiter="")
    one.prepare(llama, tokenizer)
    shapes = _shapes(llama, lambda: one.score(llama, {"own": np.arange(24)}))
    assert sum(rows for rows, _ in shapes) == 24


def test_generation_ends_with_the_last_row_that_has_a_stop_text(make_task: Any, llama: Any, tokenizer: Any) -> None:
    one = make_task("tiny_generate", generation_kwargs={"until": ["\n"], "max_gen_toks": 100})
    one.prepare(llama, tokenizer)
    shapes = _shapes(llama, lambda: one.score(llama, {"own": np.arange(8)}))
    answers = [request.resps[0] for document in one._requests["own"][:8] for request in document]
    steps = [shape for shape in shapes if shape[1] == 1]
    assert len(steps) == 1 + max(map(len, answers)) < 30  # a token per letter, and one for the end of the line


def test_later_trials_plan_and_tokenise_nothing(
    make_task: Any, llama: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_task("tiny_shots")
    one.prepare(llama, tokenizer)
    rows = {"own": np.arange(3, 20)}
    first = one.score(llama, rows)["own"]["acc"].samples

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise AssertionError("asked for again")

    monkeypatch.setattr(type(tokenizer), "__call__", refuse)
    monkeypatch.setattr(type(tokenizer), "encode", refuse)
    monkeypatch.setattr("mergesearch.evaluators._lm_eval.likelihoods.plan_batches", refuse)
    monkeypatch.setattr("lm_eval.utils.apply_template", refuse)
    assert np.array_equal(one.score(llama, rows)["own"]["acc"].samples, first)
    with pytest.raises(AssertionError, match="asked for again"):
        one.score(llama, {"own": np.arange(3)})


def test_an_empty_continuation_is_refused_before_the_first_trial(make_task: Any, llama: Any, tokenizer: Any) -> None:
    one = make_task("tiny_next", doc_to_target="", target_delimiter="")
    with pytest.raises(InputError, match="task 'own', document 0: '' has 0 tokens to be predicted; give 1 to 256"):
        one.prepare(llama, tokenizer)


def test_texts_without_a_token_are_certain(make_task: Any, llama: Any, tokenizer: Any) -> None:
    one = make_task("tiny_rolling", doc_to_target="{{question if gold == 1 else ''}}")
    one.prepare(llama, tokenizer)
    empty = [row for row, document in enumerate(one._requests["own"]) if document[0].args == ("",)]
    with pytest.raises(InputError, match="weights that add up to 0"):  # of words; there is no perplexity of nothing
        one.score(llama, {"own": np.array(empty)})
    assert all(one._requests["own"][row][0].resps == [0] for row in empty)
    assert np.isfinite(one.score(llama, {"own": np.arange(24)})["own"]["word_perplexity"].value)


def test_scores_of_half_precision_are_rounded_as_lm_eval_rounds_them(make_task: Any, make: Any, tokenizer: Any) -> None:
    model = make("tiny_llama").to(torch.bfloat16)
    one = make_task("tiny_next")
    one.prepare(model, tokenizer)
    one.score(model, {"own": np.arange(24)})
    nats = [request.resps[0][0] for document in one._requests["own"] for request in document]
    assert torch.equal(torch.tensor(nats).bfloat16().double(), torch.tensor(nats, dtype=torch.float64))


def test_drawn_answers_are_as_many_as_a_task_repeats(make_task: Any, llama: Any, tokenizer: Any) -> None:
    one = make_task("tiny_sampled", repeats=3)
    one.prepare(llama, tokenizer)
    one.score(llama, {"own": np.arange(4)})
    assert [len(request.resps) for document in one._requests["own"][:4] for request in document] == [3, 3, 3, 3]
