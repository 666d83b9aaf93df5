"""The differentiable loss that steers each objective, and what one trial learns of it: value and slopes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..spaces.table import FloatArray
from .objectives import Objective, Objectives

Guide = tuple[str, str]  # task and metric


@dataclass(frozen=True, eq=False)
class Guidance:
    """Losses of one candidate and their slopes in its coefficient table.

    Attributes:
        losses: smaller is better, float64, `objectives`; NaN for an objective that has none.
        slopes: ∂loss/∂C, float64 that hold fp32 numbers, `objectives x groups x members`; NaN likewise.
    """

    losses: FloatArray
    slopes: FloatArray

    def __eq__(self, other: object) -> bool:
        """Equal numbers."""
        if not isinstance(other, Guidance):
            return NotImplemented
        pairs = ((self.losses, other.losses), (self.slopes, other.slopes))
        return all(np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in pairs)

    def __hash__(self) -> int:
        """Hash of what `==` compares."""
        return hash((self.losses.tobytes(), self.slopes.tobytes()))

    def to_plain(self) -> dict[str, Any]:
        """As JSON can hold it; the slopes, of which there may be thousands, as base64 of little-endian fp32."""
        content = base64.b64encode(self.slopes.astype("<f4").tobytes()).decode()
        return {"losses": self.losses.tolist(), "shape": list(self.slopes.shape), "slopes": content}

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Guidance:
        """Decode what `to_plain` made."""
        slopes = np.frombuffer(base64.b64decode(content["slopes"]), dtype="<f4").reshape(content["shape"])
        return cls(np.array(content["losses"], dtype=np.float64), slopes.astype(np.float64))


def guides_for(
    objectives: Objectives,
    differentiable: Mapping[str, Sequence[str]],
    searcher: str,
    gradients: str,
    followed: Sequence[bool] | None = None,
) -> tuple[Guide | None, ...] | None:
    """The loss that steers each objective: itself where it is differentiable, otherwise its task's first one.

    Args:
        objectives: what is searched.
        differentiable: task -> its differentiable losses.
        searcher: its name, for the message.
        gradients: the searcher's `gradients`: unused, used or needed.
        followed: whose gradients are needed; of all objectives where left out.

    Returns:
        One (task, metric) per objective, None where it has none; None for all where gradients are unused, or used and
        not every objective has one.

    Raises:
        InputError: gradients are needed, and an objective that is followed has no differentiable loss.
    """
    if gradients == "unused":
        return None
    found = tuple(_guide(objective, differentiable.get(objective.task, ())) for objective in objectives.each)
    if gradients == "used":
        return found if None not in found else None
    for objective, guide, needed in zip(objectives.each, found, followed or [True] * len(found), strict=True):
        if guide is None and needed:
            raise InputError(
                f"searcher '{searcher}' follows coefficient gradients, but '{objective.name}' has no differentiable "
                "loss; take an evaluator that has one (dataloader, perplexity, answers, lm_eval), another searcher, or "
                "where the searcher has such an option, steer by the other objectives alone"
            )
    return found


def _guide(objective: Objective, losses: Sequence[str]) -> Guide | None:
    if not losses:
        return None
    own = objective.metric in losses and not objective.maximize
    return objective.task, objective.metric if own else losses[0]
