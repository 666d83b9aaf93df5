"""The zoo is what the examples need it to be: small, reproducible, and made of experts that disagree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from byte_tokenizer import byte_tokenizer
from digits import FURTHER_TRANSFORMS, dataset, network, training_set
from digits_training import DigitsRecipe, FurtherDigitsRecipe
from safetensors.torch import load_file
from score_table import ScoreTable
from string_skills import SKILLS, documents
from train import build_digits, build_further_digits
from zoo_cache import train_once


@pytest.mark.parametrize("text", ["s:dacb=", "  two  spaces, don't ; 42\n", "déjà vu 日本"])
def test_tokenizer_round_trips(text: str) -> None:
    tokenizer = byte_tokenizer(64)
    encoded = tokenizer.encode(text)
    assert encoded[0] == tokenizer.bos_token_id
    assert tokenizer.decode(encoded, skip_special_tokens=True) == text


@pytest.mark.parametrize(
    ("skill", "word", "answer"),
    [("sort", "dacb", "abcd"), ("count", "abba", "220000"), ("unique", "abacb", "abc"), ("caesar", "cabp", "cdb")],
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
    trained_on = {image.numpy().tobytes() for image in training_set("upright").tensors[0]}
    evaluated = {image.numpy().tobytes() for image in dataset("upright").tensors[0]}
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
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_same_seed_trains_the_same_models(tmp_path: Path) -> None:
    recipe = DigitsRecipe(base_steps=30, expert_steps=10)
    first, second = (build_digits(tmp_path / name, recipe, print) for name in ("first", "second"))
    assert first.scores == second.scores
    for model in first.scores.scores:
        left, right = (load_file(part.folder / f"{model}.safetensors") for part in (first, second))
        assert all(torch.equal(left[name], right[name]) for name in left)


def test_another_recipe_is_trained_anew(tmp_path: Path) -> None:
    recipe = DigitsRecipe(base_steps=2, expert_steps=1)
    assert build_digits(tmp_path / "digits", recipe, print).trained
    assert not build_digits(tmp_path / "digits", recipe, print).trained
    assert build_digits(tmp_path / "digits", replace(recipe, seed=1), print).trained


def test_further_experts_start_from_the_base_beside_them(tmp_path: Path) -> None:
    """The first part is trained where it is missing and otherwise left as it is; the other four stand apart."""
    recipe = FurtherDigitsRecipe(base_steps=30, expert_steps=10)
    further = build_further_digits(tmp_path / "digits8", recipe, print)
    base = load_file(tmp_path / "digits" / "base.safetensors")
    assert {path.stem for path in further.folder.glob("*.safetensors")} == set(FURTHER_TRANSFORMS)
    assert further.scores.scores.keys() == set(FURTHER_TRANSFORMS)
    assert not build_digits(tmp_path / "digits", DigitsRecipe(base_steps=30, expert_steps=10), print).trained
    for task in FURTHER_TRANSFORMS:
        expert = load_file(further.folder / f"{task}.safetensors")
        assert expert.keys() == base.keys()
        assert not all(torch.equal(expert[name], base[name]) for name in base)
