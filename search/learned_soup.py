"""Learned soup: the shares of the members in an average, learned by gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from ..errors import InputError
from ..spaces.per import Tied
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from ._descent.descent import Descent, Path
from ._descent.steer import Steer
from .history import FloatArray


class LearnedSoup(Descent):
    """Softmax shares by gradient descent (Wortsman et al. 2022, https://arxiv.org/abs/2203.05482, appendix I).

    Starts as the uniform soup. `groups: model` learns one share per member, `groups: tensors` the published variant
    by layer, which has a row for each tensor. Coefficient gradients need no ensemble of copies in memory.

    Args:
        seed: seed of the run; a descent has no use for it.
        steps: published are 510, of 256 samples each; these are of all search samples.
        rate: the learning rate of the logits; published 0.05.
        patience: iterates without a better loss before the descent ends.
        temperature: the shares are softmax(logits / temperature); learned from 1 on where left out, as published.
        steer: weight of each objective's differentiable loss, all alike where left out; lists of them for several
            descents.
        keep: instead, which objectives may not get worse than at the start.

    Raises:
        InputError: an option out of range.
    """

    def __init__(
        self,
        seed: int = 0,
        steps: int = 100,
        rate: float = 0.05,
        patience: int = 10,
        temperature: float | None = None,
        steer: Steer | None = None,
        keep: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(seed, steps, rate, patience, steer, keep)
        if temperature is not None and not temperature > 0:
            raise InputError(f"temperature is {temperature}; give a positive number, or leave it out to learn it")
        self.temperature = temperature

    def paths(self, space: Space) -> list[Path]:
        """The one descent."""
        return [_Shares(space, self.temperature)]


class _Shares(Path):
    """Logits, `rows x members`, flat, and the inverse temperature behind them; one row where the space ties them."""

    def __init__(self, space: Space, temperature: float | None) -> None:
        self.shape = (1 if isinstance(space, Tied) else space.groups, space.members)
        self.groups, self.temperature = space.groups, temperature

    def start(self) -> FloatArray:
        return np.append(np.zeros(self.shape), 1.0 if self.temperature is None else 1.0 / self.temperature)

    def table(self, values: FloatArray) -> CoefficientTable:
        return CoefficientTable.of(np.broadcast_to(self._shares(values), (self.groups, self.shape[1])))

    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        shares = self._shares(values)
        by_row = slopes.sum(axis=0, keepdims=True) if self.shape[0] == 1 else slopes
        by_product = shares * (by_row - (shares * by_row).sum(axis=1, keepdims=True))  # of logits times inverse
        learned = values[:-1] @ by_product.ravel() if self.temperature is None else 0.0
        return np.append(values[-1] * by_product, learned)

    def _shares(self, values: FloatArray) -> FloatArray:
        return np.asarray(softmax(values[-1] * values[:-1].reshape(self.shape), axis=1))
