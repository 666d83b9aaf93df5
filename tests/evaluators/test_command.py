"""Any program as an evaluator: what it finds at the path, what it may print, and what is left behind."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators._programs.weights_file import bytes_of, roomy, written
from mergesearch.evaluators.command import CommandEvaluator
from mergesearch.evaluators.evaluator import Evaluator

ALL, SOME = np.arange(4), np.array([1, 3])


def program(folder: Path, body: str, arguments: str = "{path}") -> str:
    path = folder / "program.py"
    path.write_text(f"import json, os, sys, time\npath = sys.argv[1]\n{body}\n")
    return f"{sys.executable} {path} {arguments}"


def ready(evaluator: Evaluator, model: Any, tokenizer: Any = None) -> Evaluator:
    evaluator.prepare(model, tokenizer)
    return evaluator


def in_one_buffer(model: Any) -> Any:
    """Move all parameters into one flat tensor, as the engine does."""
    parameters = list(model.parameters())
    buffer = torch.cat([torch.zeros(3), *(one.detach().flatten() for one in parameters)])
    for one, part in zip(parameters, buffer[3:].split([one.numel() for one in parameters]), strict=True):
        one.data = part.view(one.shape)
    return model


@pytest.mark.parametrize("tied", [False, True])
def test_a_folder_holds_what_transformers_loads(make: Any, tokenizer: Any, tied: bool) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = make("tiny_llama")
    if tied:
        model.config.tie_word_embeddings = True
        model.tie_weights()
    in_one_buffer(model)
    with written(model, tokenizer, folder=True) as path:
        loaded = AutoModelForCausalLM.from_pretrained(path)
        stored = sum(tensor.numel() * 4 for file in path.glob("*.safetensors") for tensor in load_file(file).values())
        assert AutoTokenizer.from_pretrained(path)("red")["input_ids"] == tokenizer("red")["input_ids"]
        assert not os.path.isdir("/dev/shm") or path.is_relative_to("/dev/shm")
    assert stored == bytes_of(model)
    assert not path.exists()
    state = model.state_dict()
    assert list(loaded.state_dict()) == list(state)
    assert all(torch.equal(one, state[name]) for name, one in loaded.state_dict().items())


def test_a_file_holds_every_tensor_once(make: Any) -> None:
    model = in_one_buffer(make("tiny_net"))
    model.twin = model[0]
    with written(model, None, folder=False) as path:
        found = load_file(path)
    state = model.state_dict()
    assert set(state) - set(found) == {"twin.weight", "twin.bias"}
    assert all(torch.equal(one, state[name]) for name, one in found.items())
    assert bytes_of(model) == sum(one.numel() * one.element_size() for one in found.values())


def test_it_gets_the_samples_that_are_asked_for(make: Any, tmp_path: Path) -> None:
    body = (
        "numbers = [int(one) for one in open(sys.argv[2])]\n"
        "print(json.dumps({'good': [2.0 * one for one in numbers], 'bad': 0.5}, indent=1))"
    )
    command = program(tmp_path, body, "{path} {samples}")
    metrics = {"good": "maximize", "bad": "minimize"}
    evaluator = ready(CommandEvaluator("mine", command, metrics, samples=4), make("tiny_net"))
    assert evaluator.tasks() == {"mine": 4} and evaluator.metrics() == {"mine": {"good": True, "bad": False}}
    scores = evaluator.score(make("tiny_net"), {"mine": SOME})["mine"]
    assert np.asarray(scores["good"].samples).tolist() == [2.0, 6.0]
    assert scores["bad"].value == 0.5 and scores["bad"].samples is None and scores["bad"].stderr == np.inf


def test_one_that_is_not_told_the_samples_scores_all(make: Any, tmp_path: Path) -> None:
    command = program(tmp_path, "print('loading')\nprint(json.dumps({'score': [5, 6, 7, 8]}))\nprint('bye')")
    evaluator = ready(CommandEvaluator("mine", command, samples=4), make("tiny_net"))
    for rows, expected in ((ALL, 6.5), (SOME, 7.0)):
        scores = evaluator.score(make("tiny_net"), {"mine": rows})["mine"]["score"]
        assert scores.value == expected and scores.samples is None
        assert scores.stderr == pytest.approx(
            np.std([5, 6, 7, 8] if len(rows) == 4 else [6, 8]) / len(rows) ** 0.5, rel=0.2
        )


def test_a_single_number_is_a_score(make: Any, tmp_path: Path) -> None:
    evaluator = ready(CommandEvaluator("mine", program(tmp_path, "print(0.25)")), make("tiny_net"))
    assert evaluator.score(make("tiny_net"), {"mine": np.array([0])})["mine"]["score"].value == 0.25


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("print('fine')", "evaluator 'mine' printed 'fine' at the end; print an object of metrics in JSON"),
        ("pass", "evaluator 'mine' printed '' at the end"),
        ("print('{\"other\": [1, 2, 3, 4]}')", "returned 'other', which is none of its metrics; known: score"),
        ("print('[1, 2, 3]')", r"mine/score: 3 values of shape \(3,\) for 4 samples"),
        ("print('[1, NaN, 3, 4]')", "mine/score: 1 of 4 values are not finite"),
        (
            "print(1.5)",
            "mine/score: one number, but 2 of 4 samples were asked for; print a list of one value per sample",
        ),
        ("sys.exit('no card')", "ended with status 1; its last output: no card"),
        ("print(os.path.dirname(path), flush=True); time.sleep(60)", "took longer than 3 s and was stopped"),
    ],
)
def test_failures_are_the_trials_and_leave_nothing(make: Any, tmp_path: Path, body: str, text: str) -> None:
    noted = f"open({str(tmp_path / 'path')!r}, 'w').write(path)\nassert os.path.getsize(path) > 100\n"
    command = program(tmp_path, noted + body)
    evaluator = ready(CommandEvaluator("mine", command, samples=4, timeout=3.0), make("tiny_net"))
    with pytest.raises(TrialError, match=text):
        evaluator.score(make("tiny_net"), {"mine": SOME})
    path = Path((tmp_path / "path").read_text())
    assert path.name == "model.safetensors" and not path.parent.exists()


def test_weights_without_room_are_refused() -> None:
    assert roomy(1000).is_dir()
    with pytest.raises(
        TrialError, match=r"the weights take 1000000\.0 GB, and there are .* GB in '.*'; make room, or set"
    ):
        roomy(10**15)


def test_bad_options_are_refused(make: Any, tmp_path: Path) -> None:
    command = program(tmp_path, "print(1)")
    with pytest.raises(InputError, match=r"` does not say where the weights go; put in \{path\}"):
        CommandEvaluator("mine", sys.executable)
    with pytest.raises(InputError, match="evaluator 'mine' has 0 samples"):
        CommandEvaluator("mine", command, samples=0)
    with pytest.raises(InputError, match="no program 'nothing' that can be run"):
        CommandEvaluator("mine", "nothing {path}")
    with pytest.raises(InputError, match="a Sequential has no folder of its own; set format: safetensors"):
        ready(CommandEvaluator("mine", command, format="folder"), make("tiny_net"))
