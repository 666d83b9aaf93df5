"""The loss of given answers: which tokens count, how they are read, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators._texts.answers import Answer, read_answers, read_prompts, tokens_of, write_answers
from mergesearch.evaluators.answers import AnswersEvaluator

ANSWERS = [
    Answer("red ->", " green"),
    Answer("blue, stone, river, apple ->", " seven clouds", ended=False),
    Answer("q", " a rather long response of many more than sixteen tokens"),
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "answers.jsonl"
    write_answers(path, ANSWERS)
    return path


@pytest.fixture
def evaluator(file: Path, llama: Any, tokenizer: Any) -> AnswersEvaluator:
    one = AnswersEvaluator("proxy", str(file), batch_size=2)
    one.prepare(llama, tokenizer)
    return one


def reference(llama: Any, tokenizer: Any, answer: Answer) -> tuple[torch.Tensor, int]:
    """Nats and number of the response's tokens, by transformers' own masked loss."""
    asked = tokenizer(answer.prompt)["input_ids"]
    ids = asked + tokenizer(answer.response)["input_ids"] + ([tokenizer.eos_token_id] if answer.ended else [])
    labels = [-100] * len(asked) + ids[len(asked) :]
    count = len(ids) - len(asked)
    loss: torch.Tensor = llama(torch.tensor([ids]), labels=torch.tensor([labels])).loss
    return loss * count, count


def test_only_responses_count_and_their_end(evaluator: AnswersEvaluator, llama: Any, tokenizer: Any) -> None:
    expected = [reference(llama, tokenizer, answer) for answer in ANSWERS]
    scores = evaluator.score(llama, {"proxy": np.arange(3)})["proxy"]
    each = [float(nats.detach()) / count for nats, count in expected]
    np.testing.assert_allclose(np.asarray(scores["loss"].samples), each, rtol=1e-4)
    whole = sum(float(nats.detach()) for nats, _ in expected) / sum(count for _, count in expected)
    assert scores["loss"].value == pytest.approx(whole, rel=1e-5)
    assert scores["perplexity"].value == pytest.approx(np.exp(whole), rel=1e-4)


def test_gradients_are_those_of_the_same_loss(evaluator: AnswersEvaluator, llama: Any, tokenizer: Any) -> None:
    llama.zero_grad(set_to_none=True)
    expected = [reference(llama, tokenizer, answer) for answer in ANSWERS[1:]]
    (torch.stack([nats for nats, _ in expected]).sum() / sum(count for _, count in expected)).backward()
    slopes = {name: weight.grad.clone() for name, weight in llama.named_parameters()}
    llama.zero_grad(set_to_none=True)
    found = evaluator.backward(llama, "proxy", "loss", np.array([1, 2]))
    assert found.value == evaluator.score(llama, {"proxy": np.array([1, 2])})["proxy"]["loss"].value
    for name, weight in llama.named_parameters():
        torch.testing.assert_close(weight.grad, slopes[name], rtol=1e-3, atol=1e-5)
    llama.zero_grad(set_to_none=True)


def test_prompts_may_stand_in_a_chat_template(file: Path, llama: Any, tokenizer: Any) -> None:
    one = tokens_of(tokenizer, ANSWERS[0], chat=True)
    assert tokenizer.decode(one.ids[: one.start]) == "<user>red -><a>"
    assert tokenizer.decode(one.ids[one.start :]) == " green</s>"
    assert tokens_of(tokenizer, ANSWERS[1], chat=False).ids[-1] != tokenizer.eos_token_id


def test_a_token_across_the_boundary_counts_to_the_response() -> None:
    class Pairs:
        """Tokens of two letters each, so that an odd prompt shares one with the response."""

        eos_token_id = 0

        def __call__(self, text: str, **given: Any) -> dict[str, list[int]]:
            return {"input_ids": [1, *(sum(map(ord, text[at : at + 2])) for at in range(0, len(text), 2))]}

    one = tokens_of(Pairs(), Answer("abc", "def"), chat=False)
    assert (one.start, len(one.ids)) == (2, 1 + 3 + 1)


def test_what_is_written_is_read(file: Path) -> None:
    assert read_answers(file) == ANSWERS
    assert read_prompts(file) == [answer.prompt for answer in ANSWERS]
    lines = file.with_suffix(".txt")
    lines.write_text("one\n\ntwo \n")
    assert read_prompts(lines) == ["one", "two "]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "has no answers; give a file with some"),
        ('{"prompt": "a", "response": "b"}\n{"prompt"', "line 2 of .* is no JSON .*; write one object per line"),
        ("[1]", r"line 1 of .* is '\[1\]'; write one object per line"),
        ('{"prompt": "a", "answer": "b"}', "line 1 of .* has no text under 'response'; its keys are prompt, answer"),
        ('{"prompt": "a", "response": 3}', "has no text under 'response'"),
    ],
)
def test_unusable_files_are_refused(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=text):
        AnswersEvaluator("proxy", str(path))


def test_refused(tmp_path: Path, file: Path, llama: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match=r"no file 'nowhere\.jsonl'"):
        AnswersEvaluator("proxy", "nowhere.jsonl")
    with pytest.raises(InputError, match="batch_size = 0; give 1 or more"):
        AnswersEvaluator("proxy", str(file), batch_size=0)
    with pytest.raises(InputError, match="evaluator 'proxy' needs a tokenizer"):
        AnswersEvaluator("proxy", str(file)).prepare(llama, None)
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        AnswersEvaluator("proxy", str(binary))
    empty = tmp_path / "empty.txt"
    empty.write_text("\n")
    with pytest.raises(InputError, match="has no prompts; give a file with some"):
        read_prompts(empty)
    for answer, problem in (
        ({"prompt": "a", "response": "b" * 300}, "answer 1 has 302 tokens, but the model attends to 256; shorten it"),
        ({"prompt": "a", "response": "", "ended": False}, "answer 1 has no token in its response; remove it"),
    ):
        binary.write_text(json.dumps(answer))
        with pytest.raises(InputError, match=problem):
            AnswersEvaluator("proxy", str(binary)).prepare(llama, tokenizer)
