"""AdaMerging: every coefficient follows the gradient of a loss that needs no labels, such as the entropy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from ._descent.descent import Descent, Path
from ._descent.steer import Steer
from .history import FloatArray


class Adamerging(Descent):
    """Adam on task-vector coefficients (Yang et al. 2024, https://arxiv.org/abs/2310.02575).

    `groups: model` is its task-wise, `groups: tensors` its layer-wise form; the objective is `entropy` of unlabelled
    samples of every task. Coefficients are pulled back into [low, high] after each step and keep their slopes there:
    the published clamp has none below zero, so a coefficient that falls below never comes back.

    Args:
        seed: seed of the run; a descent has no use for it.
        steps: the published number is 500.
        rate: the learning rate: a coefficient moves by about this much a step, so that `steps` times `rate` bounds
            how far it gets; published 0.001.
        patience: iterates without a better loss before the descent ends.
        start: coefficient of every member in every group.
        low: lowest coefficient.
        high: highest coefficient.
        steer: weight of each objective's differentiable loss, all alike where left out; lists of them for several
            descents.
        keep: instead, which objectives may not get worse than at the start.

    Raises:
        InputError: an option out of range.
    """

    def __init__(
        self,
        seed: int = 0,
        steps: int = 500,
        rate: float = 0.001,
        patience: int = 20,
        start: float = 0.3,
        low: float = 0.0,
        high: float = 1.0,
        steer: Steer | None = None,
        keep: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(seed, steps, rate, patience, steer, keep)
        if not low <= start <= high:
            raise InputError(f"low is {low}, start {start} and high {high}; give them in this order")
        self.start, self.low, self.high = start, low, high

    def paths(self, space: Space) -> list[Path]:
        """The one descent."""
        return [_Coefficients(np.full((space.groups, space.members), self.start), self.low, self.high)]


class _Coefficients(Path):
    """The table itself, within bounds."""

    def __init__(self, first: FloatArray, low: float, high: float) -> None:
        self.first, self.low, self.high = first, low, high

    def start(self) -> FloatArray:
        return self.first

    def table(self, values: FloatArray) -> CoefficientTable:
        return CoefficientTable.of(values)

    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        return slopes

    def onto(self, values: FloatArray) -> FloatArray:
        return np.clip(values, self.low, self.high)
