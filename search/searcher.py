"""The contract of a searcher: one method, `propose`. The rest of an Optuna sampler is done here."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from optuna.samplers import BaseSampler

from .history import FloatArray, History


class Searcher(BaseSampler):
    """Proposes the next vector from the history of finished trials, and from nothing else.

    A searcher keeps no state between calls that the history does not determine (a cache keyed by the history is
    fine), and takes every random number from the generator it is given, which is derived from (seed, trial number)
    alone. So a run that is killed and resumed proposes what the uninterrupted run would have proposed.
    """

    multi_objective: ClassVar[bool] = True

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    @abstractmethod
    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        """Return the next x, float64, `dimension`, within the bounds; None once the method has nothing left to try."""
