"""Answers of a model: drawn alike from the same seed, cut where they end, and chosen by reward."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators._answering.choosing import choose_answers, rewards_of
from mergesearch.evaluators._answering.generating import Sampling, generate_answers
from mergesearch.evaluators._texts.answers import Answer, read_answers

SHORT = Sampling(samples=3, max_new_tokens=8, batch_size=2)


@pytest.fixture
def prompts(make: Any, tmp_path: Path) -> list[str]:
    return [answer.prompt for answer in read_answers(make("write_answers", tmp_path, 5))]


def test_the_same_seed_gives_the_same_answers(llama: Any, tokenizer: Any, prompts: list[str]) -> None:
    first = generate_answers(llama, tokenizer, prompts, SHORT)
    torch.rand(3)
    assert generate_answers(llama, tokenizer, prompts, SHORT) == first
    assert [answer.prompt for answer in first] == [prompt for prompt in prompts for _ in range(3)]
    assert generate_answers(llama, tokenizer, prompts[:2], SHORT) == first[:6]
    other = Sampling(samples=3, max_new_tokens=8, batch_size=2, seed=1)
    assert generate_answers(llama, tokenizer, prompts, other) != first


def test_without_temperature_it_is_greedy_decoding(llama: Any, tokenizer: Any, prompts: list[str]) -> None:
    found = generate_answers(llama, tokenizer, prompts, Sampling(1, temperature=0.0, max_new_tokens=8, batch_size=2))
    for answer in found:
        ids = tokenizer(answer.prompt, return_tensors="pt")["input_ids"]
        for _ in range(8):
            with torch.no_grad():
                ids = torch.cat([ids, llama(ids).logits[:, -1:].argmax(-1)], dim=1)
        text = tokenizer.decode(ids[0, len(tokenizer(answer.prompt)["input_ids"]) :])
        assert text.split("</s>")[0] == answer.response
        assert answer.ended == ("</s>" in text)


def test_the_models_own_settings_do_not_narrow_the_draw(llama: Any, tokenizer: Any) -> None:
    """Frequencies of the first token are the model's probabilities, though its settings ask for the top one only."""
    kept = llama.generation_config.top_k
    llama.generation_config.top_k = 1
    try:
        drawn = generate_answers(llama, tokenizer, ["0: red"], Sampling(samples=4000, max_new_tokens=1))
    finally:
        llama.generation_config.top_k = kept
    with torch.no_grad():
        chances = llama(tokenizer("0: red", return_tensors="pt")["input_ids"]).logits[0, -1].softmax(-1)
    likeliest = tokenizer.decode(chances.argmax())
    share = float(np.mean([answer.response == likeliest for answer in drawn]))
    expected = float(chances.max())
    assert expected < 0.99
    assert share == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / 4000))


def test_the_models_own_penalties_are_off(llama: Any, tokenizer: Any) -> None:
    greedy, own = Sampling(1, temperature=0.0, max_new_tokens=12), llama.generation_config
    first = generate_answers(llama, tokenizer, ["0: red", "1: stone"], greedy)
    kept = own.repetition_penalty, own.no_repeat_ngram_size
    own.repetition_penalty, own.no_repeat_ngram_size = 50.0, 1
    try:
        assert any(len(set(answer.response)) < len(answer.response) for answer in first), "a penalty would tell"
        assert generate_answers(llama, tokenizer, ["0: red", "1: stone"], greedy) == first
        assert llama.generation_config is own
    finally:
        own.repetition_penalty, own.no_repeat_ngram_size = kept


def test_generating_leaves_no_trace(llama: Any, tokenizer: Any) -> None:
    state, llama.training = torch.get_rng_state(), True
    try:
        generate_answers(llama, tokenizer, ["red"], SHORT)
        assert llama.training
    finally:
        llama.eval()
    assert torch.equal(state, torch.get_rng_state())


NINE = [Answer("q", str(number)) for number in range(9)]
REWARDS = [3.0, 1.0, 2.0, 3.0, 0.0, 3.0, 2.0, 1.0, 0.0]


def test_the_best_are_kept_and_some_of_them_picked() -> None:
    def kept(**options: Any) -> str:
        return "".join(answer.response for answer in choose_answers(NINE, REWARDS, **options))

    assert kept() == "012345678"
    assert kept(least=2.0) == "02356"
    assert kept(best=4) == "0235"  # of the equal ones the earlier
    assert kept(least=2.0, best=2) == "03"
    picked = [kept(best=5, pick=2, seed=seed) for seed in range(30)]
    assert all(len(one) == 2 and set(one) <= set("02356") and one == "".join(sorted(one)) for one in picked)
    assert len(set(picked)) > 3 and picked[0] == kept(best=5, pick=2, seed=0)
    assert kept(pick=20) == "012345678"


def test_rewards_are_the_users(tmp_path: Path) -> None:
    code = tmp_path / "reward.py"
    code.write_text(
        "def length(prompt, response):\n    return len(response) - len(prompt)\n"
        "def broken(prompt, response):\n    return float('nan')\n"
        "def failing(prompt, response):\n    raise RuntimeError('no reward model here')\n"
    )
    assert rewards_of([Answer("a", "abc"), Answer("ab", "")], f"{code}:length") == [2.0, -2.0]
    with pytest.raises(InputError, match=r"returned nan for '0'; return a finite number"):
        rewards_of(NINE, f"{code}:broken")
    with pytest.raises(InputError, match=r"failed with RuntimeError: no reward model here"):
        rewards_of(NINE, f"{code}:failing")


def test_refused(llama: Any, tokenizer: Any) -> None:
    with pytest.raises(InputError, match="no answer has a reward of at least 4: the highest of 9 is 3; lower it, or"):
        choose_answers(NINE, REWARDS, least=4)
    with pytest.raises(
        InputError, match="4 answers per prompt at temperature 0 are all alike; ask for 1, or raise the temp"
    ):
        Sampling(temperature=0.0)
    with pytest.raises(InputError, match="answers per prompt = 0; give 1 or more"):
        Sampling(samples=0)
    with pytest.raises(InputError, match="prompts and answers take up to 303 tokens, but the model attends to 256"):
        generate_answers(llama, tokenizer, ["red"], Sampling(max_new_tokens=300))
