"""A judge of the user's: what it is shown, and what it may say."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators._answering.generating import Sampling, generate_answers
from mergesearch.evaluators.judge import JudgeEvaluator

ROWS = np.array([0, 3, 4])


@pytest.fixture
def build(make: Any, llama: Any, tokenizer: Any, tmp_path: Path) -> Any:
    """A function that builds a prepared judge from the body of its program."""
    make("write_raters", tmp_path)

    def built(body: str, arguments: str = "", **options: Any) -> JudgeEvaluator:
        path = tmp_path / "program.py"
        path.write_text(f"import json, sys, time\nshown = {str(tmp_path / 'shown')!r}\n{body}\n")
        command = f"{sys.executable} {path} {arguments}"
        chosen = {"max_new_tokens": 5, "batch_size": 4, **options}
        judge = JudgeEvaluator("mine", str(tmp_path / "prompts.txt"), command, **chosen)
        judge.prepare(llama, tokenizer)
        return judge

    return built


COPY = "text = {source}.read()\nopen(shown, 'w').write(text)\nfor line in text.splitlines(): print(len(line))"


@pytest.mark.parametrize(("source", "arguments"), [("sys.stdin", ""), ("open(sys.argv[1])", "{path}")])
def test_it_is_shown_the_candidates_answers(
    build: Any, llama: Any, tokenizer: Any, tmp_path: Path, source: str, arguments: str
) -> None:
    judge = build(COPY.replace("{source}", source), arguments)
    scores = judge.score(llama, {"mine": ROWS})["mine"]["score"]
    lines = (tmp_path / "shown").read_text().splitlines()
    assert np.asarray(scores.samples).tolist() == [len(line) for line in lines]
    sampling = Sampling(1, temperature=0.0, max_new_tokens=5, batch_size=1)
    answers = generate_answers(llama, tokenizer, [judge.prompts[row] for row in ROWS], sampling)
    assert [json.loads(line) for line in lines] == [vars(answer) for answer in answers]


def test_several_answers_to_a_prompt_count_by_their_mean(build: Any, llama: Any) -> None:
    body = "for place, line in enumerate(sys.stdin): print(json.dumps({'place': place, 'constant': 1}))"
    judge = build(body, metrics={"place": "maximize", "constant": "minimize"}, answers=4, temperature=1.0)
    assert judge.metrics() == {"mine": {"place": True, "constant": False}}
    scores = judge.score(llama, {"mine": ROWS})["mine"]
    assert np.asarray(scores["place"].samples).tolist() == [1.5, 5.5, 9.5]
    assert scores["constant"].value == 1.0


def test_sampled_answers_depend_on_no_batch(build: Any, llama: Any, tmp_path: Path) -> None:
    def shown(rows: list[int], batch_size: int) -> dict[str, list[str]]:
        judge = build(COPY.replace("{source}", "sys.stdin"), answers=2, temperature=1.0, batch_size=batch_size)
        judge.score(llama, {"mine": np.array(rows)})
        lines = [json.loads(line) for line in (tmp_path / "shown").read_text().splitlines()]
        found: dict[str, list[str]] = {}
        for line in lines:
            found.setdefault(line["prompt"], []).append(line["response"])
        return found

    whole = shown(list(range(20)), 8)
    assert len(whole) == 20 and sum(first != second for first, second in whole.values()) > 15
    for rows, batch_size in (([2, 7, 11], 8), ([11], 8), ([2, 7, 11], 3)):
        some = shown(rows, batch_size)
        assert some == {prompt: whole[prompt] for prompt in some} and len(some) == len(rows)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("print(1)", "judge 'mine' printed 1 lines for 3 answers; print one each"),
        ("for _ in range(3): print('good')", "judge 'mine' printed 'good', which is no JSON"),
        ("for _ in range(3): print('{\"tone\": 1}')", "returned 'tone', which is none of its metrics; known: score"),
        ("for _ in range(3): print('NaN')", "mine/score: 3 of 3 values are not finite"),
        ("for _ in range(3): print('\"fine\"')", r"mine/score: \['fine', 'fine', 'fine'\] are no numbers"),
        ("sys.exit('quota exceeded')", "ended with status 1; its last output: quota exceeded"),
        ("time.sleep(60)", "took longer than 2 s and was stopped; it wrote nothing"),
    ],
)
def test_failures_are_the_trials(build: Any, llama: Any, body: str, text: str) -> None:
    with pytest.raises(TrialError, match=text):
        build(body, timeout=2.0).score(llama, {"mine": ROWS})


def test_refused(make: Any, build: Any, llama: Any, tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="evaluator 'mine' needs a tokenizer"):
        build("pass").prepare(llama, None)
    with pytest.raises(InputError, match="Sequential generates no text; take a language model of transformers"):
        build("pass").prepare(make("tiny_net"), tokenizer)
    with pytest.raises(InputError, match=r"prompts and answers take up to .* tokens, but the model attends to 256"):
        build("pass", max_new_tokens=250)
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(InputError, match=r"empty\.jsonl' has no prompts; give a file with some"):
        JudgeEvaluator("mine", str(empty), sys.executable)
