"""Answers sampled from a model, and the choice among them by reward: the proxy set of AMA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..plugins import call_user, load_object
from ._answers import Answer, opened
from ._scoring import device_of, undisturbed


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        samples: answers per prompt.
        seed: the same seed gives the same answers, with the same batch size.
        max_new_tokens: after which an answer is cut off.
        temperature: 1 samples from the model itself; 0 takes the likeliest token, of which one sample is enough.
        batch_size: prompts per call of the model.
        chat: put each prompt into the tokenizer's chat template.
    """

    samples: int = 4
    seed: int = 0
    max_new_tokens: int = 128
    temperature: float = 1.0
    batch_size: int = 16
    chat: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.samples, self.max_new_tokens, self.batch_size) < 1 or min(self.temperature, self.seed) < 0:
            raise InputError(
                f"{self} cannot be drawn; give 1 or more of each number, and no negative temperature or seed"
            )
        if self.temperature == 0 and self.samples > 1:
            raise InputError(f"{self.samples} samples at temperature 0 are all alike; give 1, or a higher temperature")


def generate_answers(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Sampling) -> list[Answer]:
    """Let a transformers model answer prompts; the answers to one prompt follow one another.

    Nothing but the temperature shapes the distribution: top-k and top-p of the model's own settings are off.

    Raises:
        InputError: a prompt and its answer would be longer than the model can attend to.
    """
    answers: list[Answer] = []
    for start in range(0, len(prompts), sampling.batch_size):
        some = prompts[start : start + sampling.batch_size]
        with undisturbed(model):
            answers += _batch(model, tokenizer, some, sampling, start)
    return answers


def rewards_of(answers: Sequence[Answer], reference: str) -> list[float]:
    """The rewards that a user's function `file.py:function(prompt, response)` gives, higher for better ones.

    Raises:
        InputError: no such function, it raised, or a reward is no finite number.
    """
    function = load_object(reference)
    rewards = []
    for answer in answers:
        reward = call_user(f"reward {reference}", function, prompt=answer.prompt, response=answer.response)
        try:
            rewards.append(float(reward))
        except (TypeError, ValueError):
            rewards.append(np.nan)
        if not np.isfinite(rewards[-1]):
            raise InputError(f"reward {reference} returned {reward!r} for {answer.response!r}; return a finite number")
    return rewards


def choose_answers(
    answers: Sequence[Answer],
    rewards: Sequence[float],
    least: float | None = None,
    best: int | None = None,
    pick: int | None = None,
    seed: int = 0,
) -> list[Answer]:
    """Keep answers by reward, and then some of them at random (Lin et al. 2024, D.5: 2,000 of the 5,000 best).

    Args:
        answers: all of them.
        rewards: one each, higher is better.
        least: drops answers of a lower reward.
        best: keeps at most so many, of the highest rewards; the earlier one where two are alike.
        pick: keeps at most so many of those at random.
        seed: of that choice.

    Returns:
        In their old order.

    Raises:
        InputError: none is left.
    """
    kept = [number for number in range(len(answers)) if least is None or rewards[number] >= least]
    kept = sorted(sorted(kept, key=lambda number: -rewards[number])[:best])
    if pick is not None and pick < len(kept):
        kept = np.sort(np.random.default_rng(seed).choice(kept, pick, replace=False)).tolist()
    if not kept:
        shown = f"the highest of {len(answers)} is {max(rewards):g}" if answers else "there are none at all"
        raise InputError(f"no answer has a reward of at least {least}: {shown}; lower it, or draw more answers")
    return [answers[number] for number in kept]


def _batch(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Sampling, start: int) -> list[Answer]:
    import torch
    from transformers import GenerationConfig

    ids, attended = _left_padded(tokenizer, [opened(tokenizer, prompt, sampling.chat) for prompt in prompts], sampling)
    _check_length(model, ids.shape[1] + sampling.max_new_tokens)
    # Seeded by the batch, so that more prompts at the end leave the answers to the first ones as they are.
    torch.manual_seed(int(np.random.SeedSequence([sampling.seed, start]).generate_state(1)[0]))
    ends = _ends(model, tokenizer)
    drawn = {"do_sample": True, "temperature": sampling.temperature, "top_k": 0, "top_p": 1.0}
    settings = GenerationConfig(
        **(drawn if sampling.temperature > 0 else {"do_sample": False}),
        max_new_tokens=sampling.max_new_tokens,
        num_return_sequences=sampling.samples,
        eos_token_id=ends or None,
        pad_token_id=ends[0] if ends else 0,
    )
    where = device_of(model)
    found = model.generate(input_ids=ids.to(where), attention_mask=attended.to(where), generation_config=settings)
    answers = []
    for number, row in enumerate(found[:, ids.shape[1] :].tolist()):
        end = next((place for place, token in enumerate(row) if token in ends), None)
        text = tokenizer.decode(row[:end], skip_special_tokens=True)
        answers.append(Answer(prompts[number // sampling.samples], text, end is not None))
    return answers


def _left_padded(tokenizer: Any, texts: Sequence[str], sampling: Sampling) -> tuple[Any, Any]:
    """Token ids, `texts x longest`, padded on the left, and which of them count."""
    import torch

    rows = [list(tokenizer(text, add_special_tokens=not sampling.chat, verbose=False)["input_ids"]) for text in texts]
    width = max(map(len, rows))
    ids, attended = torch.zeros((2, len(rows), width), dtype=torch.int64)
    for number, row in enumerate(rows):
        ids[number, width - len(row) :] = torch.tensor(row)
        attended[number, width - len(row) :] = 1
    return ids, attended


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    tokens = [own] if own is None or isinstance(own, int) else list(own)
    return [token for token in dict.fromkeys([*tokens, tokenizer.eos_token_id]) if token is not None]


def _check_length(model: Any, length: int) -> None:
    reach = getattr(model.config, "max_position_embeddings", None)
    if reach is not None and length > reach:
        raise InputError(
            f"prompts and answers take up to {length} tokens, but the model attends to {reach}; shorten them"
        )
