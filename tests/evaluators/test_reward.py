"""Rewards of generated answers: those that the reward model itself gives, one answer at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators._answering.generating import Sampling, generate_answers
from mergesearch.evaluators._answering.reward_model import RewardModel
from mergesearch.evaluators._texts.answers import Answer
from mergesearch.evaluators.reward import RewardEvaluator

ANSWERS = [Answer("red", " blue"), Answer("why is the sky green", ""), Answer("a", " long answer of many words", False)]


@pytest.fixture
def folder(make: Any, tmp_path: Path) -> Path:
    """Prompts and a reward model."""
    path: Path = make("write_raters", tmp_path)
    return path


def alone(make: Any, text: str, model: Any = None) -> float:
    """What the reward model gives one text, without padding."""
    model = model or make("tiny_reward_model").eval()
    ids = make("tiny_tokenizer")(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        return float(model(ids).logits[0, 0])


def placed() -> Any:
    """A reward model that counts places from the left."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=260, n_embd=16, n_layer=1, n_head=2, pad_token_id=258, initializer_range=0.3)
    config.num_labels = 1
    return GPT2ForSequenceClassification(config).eval()


@pytest.mark.parametrize("padding", [True, False])
def test_answers_are_read_in_the_chat_template(make: Any, folder: Path, padding: bool) -> None:
    if not padding:
        model = make("tiny_reward_model")
        model.config.pad_token_id = None
        model.save_pretrained(folder / "rewards")
    found = RewardModel(str(folder / "rewards"), 2, torch.device("cpu")).rewards(ANSWERS)
    tokenizer = make("tiny_tokenizer")
    turns = [
        [{"role": "user", "content": one.prompt}, {"role": "assistant", "content": one.response}] for one in ANSWERS
    ]
    expected = [alone(make, tokenizer.apply_chat_template(one, tokenize=False)) for one in turns]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert len(set(found.round(4))) == 3


@pytest.mark.parametrize("counting", [False, True])
def test_without_a_template_prompt_and_response_are_a_pair(make: Any, folder: Path, counting: bool) -> None:
    tokenizer = make("tiny_tokenizer")
    tokenizer.chat_template, tokenizer.padding_side = None, "left"
    for path in (folder / "rewards").glob("*template*"):
        path.unlink()
    tokenizer.save_pretrained(folder / "rewards")
    model = placed() if counting else None
    if model:
        model.save_pretrained(folder / "rewards")
    found = RewardModel(str(folder / "rewards"), 8, torch.device("cpu")).rewards(ANSWERS)
    np.testing.assert_allclose(found, [alone(make, one.prompt + one.response, model) for one in ANSWERS], rtol=1e-4)


def test_a_prompt_counts_by_its_answers_mean_reward(make: Any, folder: Path, llama: Any, tokenizer: Any) -> None:
    options = {"max_new_tokens": 6, "temperature": 1.0, "answers": 3, "batch_size": 4}
    evaluator = RewardEvaluator("mine", str(folder / "prompts.txt"), str(folder / "rewards"), **options)  # type: ignore[arg-type]
    evaluator.prepare(llama, tokenizer)
    scores = evaluator.score(llama, {"mine": np.arange(20)})["mine"]["reward"]
    answers = generate_answers(llama, tokenizer, evaluator.prompts, Sampling(3, max_new_tokens=6, batch_size=4))
    rewards = RewardModel(str(folder / "rewards"), 5, torch.device("cpu")).rewards(answers)
    np.testing.assert_allclose(np.asarray(scores.samples), rewards.reshape(20, 3).mean(axis=1), rtol=1e-4)
    assert evaluator.metrics() == {"mine": {"reward": True}} and scores.stderr > 0


def test_the_reward_model_is_part_of_the_fingerprint(make: Any, folder: Path) -> None:
    evaluator = RewardEvaluator("mine", str(folder / "prompts.txt"), str(folder / "rewards"))
    first = evaluator.fingerprint()
    make("tiny_reward_model", 1).save_pretrained(folder / "rewards")
    assert evaluator.fingerprint() != first


def test_what_is_no_reward_model_is_refused(make: Any, folder: Path, llama: Any, tokenizer: Any) -> None:
    def prepare(model: Path) -> None:
        RewardEvaluator("mine", str(folder / "prompts.txt"), str(model)).prepare(llama, tokenizer)

    with pytest.raises(InputError, match=r"reward model '.*nowhere' cannot be loaded"):
        prepare(folder / "nowhere")
    language = make("tiny_llama")
    language.config.num_labels = 1
    language.save_pretrained(folder / "language")
    tokenizer.save_pretrained(folder / "language")
    with pytest.raises(
        InputError, match=r"language' has no weights for score\.weight; give a reward model that was tr"
    ):
        prepare(folder / "language")
    make("tiny_bert").save_pretrained(folder / "classes")
    tokenizer.save_pretrained(folder / "classes")
    with pytest.raises(InputError, match="has 3 outputs; give a reward model, which has one"):
        prepare(folder / "classes")


def test_an_answer_beyond_its_reach_fails_the_trial(make: Any, folder: Path) -> None:
    model = make("tiny_reward_model")
    model.config.max_position_embeddings = 30
    model.save_pretrained(folder / "rewards")
    judge = RewardModel(str(folder / "rewards"), 8, torch.device("cpu"))
    with pytest.raises(TrialError, match=r"an answer to 'why is .*' has \d+ tokens, but reward model .* attends to 30"):
        judge.rewards(ANSWERS)
