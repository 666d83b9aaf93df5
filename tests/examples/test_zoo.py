"""The zoo is what the examples need it to be: small, reproducible, and made of experts that disagree."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from byte_tokenizer import byte_tokenizer
from causal_lm import Corpus, exact_match
from digits import TRANSFORMS, dataset, network, training_set
from digits_training import DigitsRecipe
from llama_training import LlamaRecipe
from lm_eval_tasks import task_name
from safetensors.torch import load_file
from score_table import ScoreTable
from string_skills import SKILLS, documents
from train import build_digits, build_zoo
from trajectory_training import TrajectoryRecipe
from transformers import AutoModelForCausalLM, AutoTokenizer
from zoo_cache import SCORES_FILE, train_once

LEAST_GAIN = 0.10
STANDARD_ERRORS = 3


def fail(_: Path) -> ScoreTable:
    raise AssertionError("trained again")


@pytest.mark.parametrize("text", ["s:dacb=", "  two  spaces, don't ; 42\n", "déjà vu 日本"])
def test_tokenizer_round_trips(text: str) -> None:
    tokenizer = byte_tokenizer(64)
    encoded = tokenizer.encode(text)
    assert encoded[0] == tokenizer.bos_token_id
    assert tokenizer.decode(encoded, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("skill", "word", "answer"),
    [("sort", "dacb", "abcd"), ("count", "abba", "2200"), ("unique", "abacb", "abc"), ("caesar", "cabp", "cdb")],
)
def test_skills_answer_right(skill: str, word: str, answer: str) -> None:
    assert SKILLS[skill].answer(word) == answer


def test_documents_are_distinct_seeded_and_exclude_what_is_held_out() -> None:
    held_out = documents("count", 400, [8], seed=0)
    trained_on = documents("count", 2000, [8], seed=1, excluded=set(held_out))
    assert len(set(held_out)) == 400
    assert held_out == documents("count", 400, [8], seed=0)
    assert not set(held_out) & set(trained_on)


def test_digits_are_evaluated_on_samples_that_are_not_trained_on() -> None:
    trained_on = {image.numpy().tobytes() for image, _ in training_set("upright")}
    evaluated = {image.numpy().tobytes() for image, _ in dataset("upright")}
    assert len(dataset("upright")) == 900
    assert not trained_on & evaluated


def test_network_is_always_the_same() -> None:
    first, second = network().state_dict(), network().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_interrupted_training_leaves_nothing_to_trust(tmp_path: Path) -> None:
    def interrupted(folder: Path) -> ScoreTable:
        (folder / "base.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_once(tmp_path / "digits", DigitsRecipe(), interrupted)
    assert list(tmp_path.iterdir()) == []


def test_same_seed_same_scores_and_another_recipe_is_trained_anew(tmp_path: Path) -> None:
    recipe = DigitsRecipe(base_steps=30, expert_steps=10)
    first = build_digits(tmp_path / "first", recipe, print)
    second = build_digits(tmp_path / "second", recipe, print)
    other = build_digits(tmp_path / "second", replace(recipe, seed=1), print)
    assert first.scores == second.scores
    for name in first.scores.scores:
        left, right = (load_file(folder / f"{name}.safetensors") for folder in (first.folder, tmp_path / "first"))
        assert all(torch.equal(left[key], right[key]) for key in left)
    assert other.trained
