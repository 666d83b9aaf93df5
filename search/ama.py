"""AMA: one ratio between base and member for each block of layers, at a mean that is given: the reward-tax front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import InputError
from ..spaces.mean import MeanConstrained
from ..spaces.space import Space
from ..spaces.table import CoefficientTable
from ._descent.descent import Descent, Path
from ._descent.ratio_maps import ProjectedMap, SigmoidMap
from ._descent.steer import Steer
from .history import FloatArray

_SWEEP = (0.2, 0.4, 0.6)  # the means of the paper's ablation
_RATES = {"sigmoid": 0.5, "projected": 0.05}


class Ama(Descent):
    """Adaptive model averaging (Lin et al. 2024, https://arxiv.org/abs/2309.06256, section 5), by gradients.

    For every pre share α, the mean share of the base (the model before alignment), the ratios of the blocks are
    optimised such that the loss on the member's own answers is least. The first iterate of each has all ratios at
    the mean: plain averaging, which so stands beside in the journal. Takes a space of kind mean, whose held groups
    and weights it keeps, or any that contains the ratios; several members have ratios of their own.

    Paper and code differ from this in the rate, which belongs to their thousand steps of single samples.

    Args:
        seed: seed of the run; a descent has no use for it.
        pre_shares: means of the base's share, one optimisation each; the space's own where its mean is fixed,
            otherwise 0.2, 0.4 and 0.6.
        steps: of each optimisation.
        rate: the learning rate, which falls to zero: 0.5 of logits (sigmoid), 0.05 of ratios (projected).
        patience: iterates without a better loss before an optimisation ends.
        map: `sigmoid`, the published one, or `projected`, which reaches every ratio from 0 to 1.
        epsilon: keeps the largest pre share below (1 + ε) / ε times the smallest (sigmoid).
        steer: weight of each objective's differentiable loss, all alike where left out; lists of them for several
            descents.
        keep: instead, which objectives may not get worse than at the start.

    Raises:
        InputError: an option out of range.
    """

    decays = True

    def __init__(
        self,
        seed: int = 0,
        pre_shares: Sequence[float] | None = None,
        steps: int = 30,
        rate: float | None = None,
        patience: int = 10,
        map: Literal["sigmoid", "projected"] = "sigmoid",
        epsilon: float = 0.2,
        steer: Steer | None = None,
        keep: Sequence[bool] | None = None,
    ) -> None:
        if map not in _RATES or not epsilon >= 0:
            raise InputError(f"map is {map!r} and epsilon {epsilon}; give sigmoid or projected, and at least 0")
        super().__init__(seed, steps, _RATES[map] if rate is None else rate, patience, steer, keep)
        if pre_shares is not None and not all(0 < share < 1 for share in pre_shares):
            raise InputError(f"pre_shares are {list(pre_shares)}; give numbers between 0 and 1")
        self.pre_shares, self.map, self.epsilon = pre_shares, map, epsilon

    def paths(self, space: Space) -> list[Path]:
        """One optimisation per pre share."""
        frame = space if isinstance(space, MeanConstrained) else MeanConstrained(space.members, space.groups)
        return [_Ratios(self._map(share, frame), frame) for share in self._shares(frame)]

    def _shares(self, frame: MeanConstrained) -> Sequence[float]:
        low, high = frame.mean
        if self.pre_shares is not None:
            return self.pre_shares
        shares = [1.0 - low] if low == high else [share for share in _SWEEP if low <= 1.0 - share <= high]
        if not shares:
            raise InputError(f"the mean of the space is from {low:g} to {high:g}; give ama pre_shares for it")
        return shares

    def _map(self, share: float, frame: MeanConstrained) -> SigmoidMap | ProjectedMap:
        if self.map == "sigmoid":
            return SigmoidMap(share, frame.weights, self.epsilon)
        return ProjectedMap(share, frame.weights)


class _Ratios(Path):
    """The pre shares of all searched groups and members at one mean; parameters are `groups x members`."""

    def __init__(self, map: SigmoidMap | ProjectedMap, frame: MeanConstrained) -> None:
        self.map, self.frame = map, frame

    def start(self) -> FloatArray:
        return np.tile(self.map.start()[:, None], (1, self.frame.members))

    def table(self, values: FloatArray) -> CoefficientTable:
        pre = np.stack([self.map.ratios(column) for column in values.T], axis=1)
        return self.frame.spread(1.0 - pre, 1.0 - self.map.mean)

    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        by_share = -slopes[self.frame.searched] / self.frame.members
        columns = zip(values.T, by_share.T, strict=True)
        return np.stack([self.map.gradient(column, slope) for column, slope in columns], axis=1)

    def onto(self, values: FloatArray) -> FloatArray:
        return np.stack([self.map.onto(column) for column in values.T], axis=1)
