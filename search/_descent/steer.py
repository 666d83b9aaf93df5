"""Which differentiable loss a descent follows, where there are several objectives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ...errors import InputError
from ..history import FloatArray

# How many iterates of the same excess the latest one counts for; without, multipliers swing past the bound.
_DAMPING = 5.0
Steer = Sequence[float | Sequence[float]]  # one weight per objective, or several such lists


class Course(ABC):
    """Makes one loss of several, iterate after iterate of one descent."""

    def follows(self, objective: int) -> bool:
        """Whether this objective, counted from 0, has a part in it."""
        return True

    @abstractmethod
    def follow(self, losses: FloatArray, slopes: FloatArray) -> tuple[float, FloatArray]:
        """What an iterate is judged by, NaN where unknown, and the slopes to go down, `groups x members`.

        Args:
            losses: of the objectives, float64, `objectives`.
            slopes: their slopes, float64, `objectives x groups x members`.

        Raises:
            InputError: there is not one weight per objective.
        """


class Weighted(Course):
    """A weighted mean; an objective of no weight may have no slopes.

    Args:
        weights: one per objective; None for all alike.

    Raises:
        InputError: weights are negative, or all zero.
    """

    def __init__(self, weights: Sequence[float] | None) -> None:
        if weights is not None and not (min(weights, default=0.0) >= 0 and sum(weights) > 0):
            raise InputError(f"steer is {list(weights)}; give one weight per objective, none negative and not all zero")
        self.weights = weights

    def follows(self, objective: int) -> bool:
        return self.weights is None or objective >= len(self.weights) or self.weights[objective] != 0

    def follow(self, losses: FloatArray, slopes: FloatArray) -> tuple[float, FloatArray]:
        weights = np.ones(len(losses)) if self.weights is None else np.array(self.weights, dtype=np.float64)
        _check_number("steer", len(weights), len(losses))
        used = np.flatnonzero(weights)
        weights = weights[used] / weights.sum()
        return float(weights @ losses[used]), np.tensordot(weights, slopes[used], axes=1)


class Keeping(Course):
    """The mean of some objectives, while the others do not get worse than at the start.

    Losses count in parts of those of the start, so that one that is small there, as that of a skill that is to be
    kept is, weighs most at first. Each kept objective has a multiplier, which grows by the factor exp(excess) with
    every iterate, where the excess is by what part its loss is above that of the start, and shrinks where it is below
    (dual ascent on the Lagrangian, in logarithms). An iterate that fails to keep is no improvement.

    Args:
        keep: whether each objective is kept; at least one is and one is not.

    Raises:
        InputError: all or none are kept.
    """

    def __init__(self, keep: Sequence[bool]) -> None:
        self.kept = np.array(keep, dtype=np.bool_)
        if self.kept.all() or not self.kept.any():
            raise InputError(f"keep is {list(keep)}; give true or false per objective, at least one of each")
        self.first: FloatArray | None = None
        self.logs = np.zeros(len(keep))

    def follow(self, losses: FloatArray, slopes: FloatArray) -> tuple[float, FloatArray]:
        _check_number("keep", len(self.kept), len(losses))
        self.first = np.maximum(losses, 1e-12) if self.first is None else self.first
        excess = np.clip(np.where(self.kept, losses / self.first - 1.0, 0.0), -1.0, 1.0)
        self.logs += excess
        weights = np.exp(self.logs + _DAMPING * excess) / self.first
        weights /= weights.sum()
        judged = np.inf if np.any(losses[self.kept] > self.first[self.kept]) else float(losses[~self.kept].mean())
        return np.nan if np.isnan(losses).any() else judged, np.tensordot(weights, slopes, axes=1)


def courses(steer: Steer | None, keep: Sequence[bool] | None) -> list[Course]:
    """A fresh course for each descent that the options ask for.

    Raises:
        InputError: both are given, or one of them is out of range.
    """
    if keep is not None:
        if steer is not None:
            raise InputError("steer and keep exclude each other; weigh the objectives, or keep some, and remove one")
        return [Keeping(keep)]
    if steer is None:
        return [Weighted(None)]
    lists = [one for one in steer if not isinstance(one, int | float)]
    if lists:
        return [Weighted(one) for one in lists]
    return [Weighted([one for one in steer if isinstance(one, int | float)])]


def _check_number(option: str, given: int, objectives: int) -> None:
    if given != objectives:
        raise InputError(f"{option} has {given} values for {objectives} objectives; give one for each")
