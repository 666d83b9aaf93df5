"""Lets a searcher walk down a function of the table whose slopes are known, as a run would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mergesearch.search.history import FloatArray, Guides, History
from mergesearch.search.searcher import Searcher
from mergesearch.spaces.space import Space

Slopes = Callable[[FloatArray], tuple[float, FloatArray]]  # C, `groups x members` -> loss and ∂loss/∂C


def start(space: Space, objectives: int = 1) -> History:
    """The history before the first trial."""
    none, nowhere = np.empty((0, objectives)), np.empty((0, space.dimension))
    guides = Guides(none, np.empty((0, objectives, space.groups, space.members)))
    return History(space, 0, nowhere, none, none, np.empty((0, 0)), nowhere, guides)


def after(history: History, x: FloatArray, functions: list[Slopes]) -> History:
    """The history with a trial at x; each function is an objective."""
    found = [function(history.space.table(x).members) for function in functions]
    losses, slopes = np.array([[loss for loss, _ in found]]), np.stack([slope for _, slope in found])[np.newaxis]
    guides = history.guides
    assert guides is not None
    return replace(
        history,
        number=history.number + 1,
        x=np.vstack([history.x, x]),
        losses=np.vstack([history.losses, losses]),
        errors=np.vstack([history.errors, np.zeros_like(losses)]),
        violations=np.empty((len(history) + 1, 0)),
        guides=Guides(np.vstack([guides.losses, losses]), np.concatenate([guides.slopes, slopes])),
    )


def walk(searcher: Searcher, space: Space, *functions: Slopes, trials: int = 1000) -> History:
    """The history once the searcher has nothing left to try, or after so many trials."""
    history = start(space, len(functions))
    while history.number < trials and (x := searcher.ask(history)) is not None:
        history = after(history, x, list(functions))
    return history


def tables(history: History) -> FloatArray:
    """C of every trial, `trials x groups x members`."""
    return np.stack([history.space.table(x).members for x in history.x])
