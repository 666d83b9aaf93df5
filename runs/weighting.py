"""Soups whose weights follow from how the members score alone: LM-Cocktail and metrics-weighted averaging."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

import numpy as np

from ..errors import InputError
from ..spaces.published import NUMBER
from ..spaces.table import FloatArray
from ..spaces.weighted import cocktail, metric_weighted
from .guides import Guide
from .objectives import Objective, Objectives
from .record import TrialRecord

_DEFAULTS = {"lm-cocktail": 5.0, "metric-weighted": 1.0}  # the published temperature; plain proportion
USUAL = [*(f"lm-cocktail {t}" for t in (5, 1, 0.2)), *(f"metric-weighted {power}" for power in (1, 4, 16))]


@dataclass(frozen=True)
class Weighting:
    """A rule from the members' scores to the weights of a soup.

    Attributes:
        method: lm-cocktail or metric-weighted.
        setting: its temperature or power.
    """

    method: str
    setting: float

    def check(self, objectives: Objectives, guides: Sequence[Guide]) -> None:
        """Refuse what could never be weighted; `guides` are the losses that members are differentiated by.

        Raises:
            InputError: the setting is out of range, or a loss is needed and neither objective nor guide is one.
        """
        rule = cocktail if self.method == "lm-cocktail" else metric_weighted
        rule(np.ones(1), self.setting)
        metrics = [metric for _, metric in guides]
        if self.method == "metric-weighted" or _in_nats(objectives) or (metrics and set(metrics) == {"loss"}):
            return
        raise InputError(
            f"lm-cocktail weighs members by their loss, and no objective is one; add {objectives.tasks[0]}/loss, "
            "or take metric-weighted, which goes by any metric"
        )

    def row(self, objectives: Objectives, members: Sequence[TrialRecord]) -> FloatArray | None:
        """Weights, `members`, from each member's own complete trial.

        None where no weight follows: one of them has no loss, or metrics are negative.
        """
        values = np.array([record.values for record in members], dtype=np.float64)
        if self.method == "metric-weighted":
            merits = _merits(objectives.each, values)
            usable = np.isfinite(merits).all() and merits.min() >= 0
            return metric_weighted(merits, self.setting) if usable else None
        own = _in_nats(objectives)
        if own:
            return cocktail(_mean([objectives.each[index] for index in own], values[:, own]), self.setting)
        guidance = [record.guidance for record in members if record.guidance is not None]
        if len(guidance) < len(members):
            return None
        return cocktail(_mean(objectives.each, np.array([one.losses for one in guidance])), self.setting)


def weightings(pattern: str) -> dict[str, Weighting]:
    """The weightings that a glob or a name stands for, by name; empty where it is none of them."""
    names = [name for name in USUAL if fnmatch(name, pattern)] or [pattern]
    found = {name: re.fullmatch(rf"({'|'.join(_DEFAULTS)})(?: {NUMBER})?", name) for name in names}
    return {name: Weighting(one[1], float(one[2] or _DEFAULTS[one[1]])) for name, one in found.items() if one}


def _in_nats(objectives: Objectives) -> list[int]:
    """Which objectives are losses in nats."""
    return [index for index, one in enumerate(objectives.each) if one.metric == "loss" and not one.maximize]


def _merits(objectives: Sequence[Objective], values: FloatArray) -> FloatArray:
    """Mean over the objectives, `members`, of what is higher where a member is better.

    Metrics count as they are where higher is better, losses in nats as exp(-loss), and other metrics that are
    minimised as their reciprocal.
    """
    merits = values.copy()
    for column, objective in enumerate(objectives):
        if not objective.maximize:
            nats = objective.metric == "loss"
            with np.errstate(divide="ignore"):  # a reciprocal of zero is not finite, and no weight follows from it
                merits[:, column] = np.exp(-values[:, column]) if nats else 1.0 / values[:, column]
    return _mean(objectives, merits)


def _mean(objectives: Sequence[Objective], columns: FloatArray) -> FloatArray:
    """Mean of one column per objective, by the weights that are given."""
    weights = [1.0 if objective.weight is None else objective.weight for objective in objectives]
    return np.asarray(np.average(columns, axis=1, weights=weights), dtype=np.float64)
