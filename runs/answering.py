"""The proxy set of AMA: answers sampled from a model, chosen by reward, and written for `kind: answers`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.bank.member import BankOptions
from ..engine.models import ModelPaths, Models
from ..errors import InputError
from ..evaluators._answering.choosing import choose_answers, rewards_of
from ..evaluators._answering.generating import Sampling, generate_answers
from ..evaluators._texts.answers import read_prompts, write_answers
from ..spaces.groups import group_tensors
from ..spaces.table import CoefficientTable

__all__ = ["Choice", "Sampling", "write_model_answers"]


@dataclass(frozen=True)
class Choice:
    """Which answers are kept.

    Attributes:
        reward: `file.py:function`, called as `function(prompt, response)`; None where all are alike.
        least: lowest reward that is kept.
        best: at most so many, of the highest rewards.
        pick: at most so many of those, at random.
    """

    reward: str | None = None
    least: float | None = None
    best: int | None = None
    pick: int | None = None


def write_model_answers(
    model: str, prompts: Path, out: Path, sampling: Sampling, choice: Choice, base: str | None = None
) -> tuple[int, int]:
    """Let a model answer prompts and write what is kept.

    Args:
        model: a transformers folder or hub name; with `base`, also an adapter.
        prompts: a text with a prompt per line, or JSON lines with `prompt`.
        out: file of JSON lines to write.
        sampling: how answers are drawn.
        choice: which are kept.
        base: what an adapter was trained from.

    Returns:
        Number of answers written, and drawn.

    Raises:
        InputError: model, prompts or reward cannot be used, or no answer is left.
    """
    if choice.reward is None and (choice.least is not None or choice.best is not None):
        raise InputError("answers are kept by their reward, but there is none; give --reward file.py:function")
    asked = read_prompts(prompts)
    module, tokenizer = _opened(model, base)
    answers = generate_answers(module, tokenizer, asked, sampling)
    rewards = rewards_of(answers, choice.reward) if choice.reward else [0.0] * len(answers)
    kept = choose_answers(answers, rewards, choice.least, choice.best, choice.pick, sampling.seed)
    write_answers(out, kept)
    return len(kept), len(answers)


def _opened(model: str, base: str | None) -> tuple[Any, Any]:
    """The live module and its tokenizer."""
    models = Models(ModelPaths(base=base or model, members={"model": model}))
    if models.tokenizer is None:
        raise InputError(f"'{base or model}' has no tokenizer, without which it answers nothing; put one beside it")
    if base is not None:
        live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))
        live.write(CoefficientTable.of(np.ones((1, 1))))
    return models.model, models.tokenizer
