"""The choice among answers by reward: the proxy set of AMA."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from ...plugins import call_user, load_object
from .._texts.answers import Answer


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
