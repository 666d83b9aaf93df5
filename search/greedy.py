"""Greedy soup: add one member after another to the average, and keep each only where it helps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..errors import InputError
from ..spaces.canonical import soup
from ..spaces.space import Space
from .history import FloatArray, History
from .searcher import Searcher

Subset = frozenset[int]


class Greedy(Searcher):
    """One pass over the members by falling score (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482, recipe 1).

    A member stays only where it strictly improves the soup, as in the paper's code; the paper's text also keeps it at
    equal scores. Of members with equal scores the last comes first, as in that code. With several objectives the score
    is the negative mean loss. Floors play no part, and a soup that could not be scored is no improvement.

    Args:
        seed: seed of the run; the pass has no use for it.
        margin: how many of its standard errors an improvement must exceed.
    """

    def __init__(self, seed: int = 0, margin: float = 0.0) -> None:
        super().__init__(seed)
        self.margin = margin

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the x of the first soup of the pass that was not tried, float64, `dimension`; None at its end.

        Raises:
            InputError: the space does not contain a soup that the pass needs.
        """
        scores: dict[Subset, float] = {}
        errors: dict[Subset, float] = {}
        while (wanted := next_soup(scores, history.space.members, errors, self.margin)) is not None:
            x = _vector(history.space, wanted)
            if not history.tried(x):
                return x
            row = history.row_of(x)
            scores[wanted] = -np.inf if row is None else -float(history.losses[row].mean())
            errors[wanted] = 0.0 if row is None else _error_of_mean(history.errors[row])
        return None


def next_soup(
    scores: Mapping[Subset, float], members: int, errors: Mapping[Subset, float] | None = None, margin: float = 0.0
) -> Subset | None:
    """The soup that the pass must score next: the members one by one, then the growing soup; None at the end.

    Args:
        scores: higher is better, by the indices of the soup's members; -inf for a soup that could not be scored.
        members: number of members.
        errors: standard errors of the scores; zero where left out.
        margin: how many standard errors of the larger soup an improvement must exceed.
    """
    return _walk(scores, members, errors or {}, margin)[1]


def best_soup(
    scores: Mapping[Subset, float], members: int, errors: Mapping[Subset, float] | None = None, margin: float = 0.0
) -> Subset:
    """The soup held after the pass, as far as scores are known; empty until all members have one. See `next_soup`."""
    return _walk(scores, members, errors or {}, margin)[0]


def _walk(
    scores: Mapping[Subset, float], members: int, errors: Mapping[Subset, float], margin: float
) -> tuple[Subset, Subset | None]:
    """Follow the pass as far as scores are known: the soup held there, and the soup whose score is wanted."""
    for index in range(members):
        if frozenset({index}) not in scores:
            return frozenset(), frozenset({index})
    first, *others = sorted(range(members), key=lambda index: (-scores[frozenset({index})], -index))
    held = frozenset({first})
    for index in others:
        larger = held | {index}
        if larger not in scores:
            return held, larger
        least = margin * errors.get(larger, 0.0) if margin else 0.0  # an error may be infinite
        if scores[larger] > scores[held] + least:
            held = larger
    return held, None


def _vector(space: Space, subset: Subset) -> FloatArray:
    x = space.vector(soup(subset, space.groups, space.members))
    if x is None:
        raise InputError(
            f"the space does not contain the soup of members {sorted(subset)}, which the greedy soup must score; "
            "widen its bounds, or take kind subset, simplex or box"
        )
    return x


def _error_of_mean(errors: FloatArray) -> float:
    """Standard error of the mean of losses with these independent errors, float64, `objectives`."""
    return float(np.sqrt(np.sum(errors**2)) / len(errors))
