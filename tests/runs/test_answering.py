"""`mergesearch answers`: from prompts to a file that an evaluator of kind answers reads."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from mergesearch.errors import InputError
from mergesearch.evaluators._answering.generating import Sampling
from mergesearch.evaluators._texts.answers import read_answers
from mergesearch.runs.answering import Choice, write_model_answers

TINY = Path(__file__).parents[1] / "evaluators" / "tiny.py"
SAMPLING = Sampling(samples=3, max_new_tokens=6)


@pytest.fixture(scope="module")
def tiny() -> Any:
    """The makers of tiny models."""
    spec = importlib.util.spec_from_file_location("tiny_makers", TINY)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and its tokenizer, a member, prompts and a reward."""
    folder = tmp_path_factory.mktemp("answering")
    for name, seed in (("model", 0), ("other", 1)):
        tiny.tiny_llama(seed).save_pretrained(folder / name)
        tiny.tiny_tokenizer().save_pretrained(folder / name)
    (folder / "prompts.txt").write_text("red\ngreen\n\nblue ->\n")
    (folder / "reward.py").write_text("def size(prompt, response):\n    return float(len(response.encode()))\n")
    return folder


def write(folder: Path, model: str = "model", choice: Choice | None = None, base: str | None = None) -> Any:
    out = folder / "answers.jsonl"
    given = None if base is None else str(folder / base)
    counts = write_model_answers(str(folder / model), folder / "prompts.txt", out, SAMPLING, choice or Choice(), given)
    return counts, read_answers(out)


def test_answers_of_a_model_are_written(folder: Path) -> None:
    counts, answers = write(folder)
    assert counts == (9, 9)
    assert [answer.prompt for answer in answers] == ["red"] * 3 + ["green"] * 3 + ["blue ->"] * 3


def test_a_member_is_asked_itself(folder: Path) -> None:
    """With its base, as an adapter would be, it gives the answers that it gives alone."""
    alone, merged, base = write(folder, "other")[1], write(folder, "other", base="model")[1], write(folder)[1]
    assert merged == alone
    assert merged != base


def test_answers_are_chosen_by_the_users_reward(folder: Path) -> None:
    everything = write(folder)[1]
    (written, drawn), answers = write(folder, choice=Choice(f"{folder / 'reward.py'}:size", best=5, pick=3))
    assert (written, drawn) == (3, 9)
    sizes = sorted((len(answer.response.encode()) for answer in everything), reverse=True)
    assert all(answer in everything and len(answer.response.encode()) >= sizes[4] for answer in answers)


def test_the_command_writes_the_same(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    from mergesearch.cli import main

    expected = write(folder)[1]
    command = ["mergesearch", "answers", str(folder / "model"), "--prompts", str(folder / "prompts.txt")]
    command += ["--out", str(folder / "again.jsonl"), "--samples", "3", "--max-new-tokens", "6"]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code in (0, None)
    assert f"wrote 9 of 9 answers to {folder / 'again.jsonl'}" in capsys.readouterr().out
    assert read_answers(folder / "again.jsonl") == expected


def test_refused(folder: Path, tiny: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"kept by their reward, but there is none; give --reward file\.py:function"):
        write(folder, choice=Choice(best=3))
    tiny.tiny_llama().save_pretrained(tmp_path / "mute")
    with pytest.raises(InputError, match="mute' has no tokenizer, without which it answers nothing"):
        write_model_answers(str(tmp_path / "mute"), folder / "prompts.txt", tmp_path / "out.jsonl", SAMPLING, Choice())
