"""The differentiable loss that steers each objective, and what one trial learns of it: value and slopes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..spaces.table import FloatArray
from .objectives import Objectives

Guide = tuple[str, str]  # task and metric


@dataclass(frozen=True, eq=False)
class Guidance:
    """Losses of one candidate and their slopes in its coefficient table.

    Attributes:
        losses: smaller is better, float64, `objectives`.
        slopes: ∂loss/∂C, float64 that hold fp32 numbers, `objectives x groups x members`.
    """

    losses: FloatArray
    slopes: FloatArray

    def __eq__(self, other: object) -> bool:
        """Equal numbers."""
        if not isinstance(other, Guidance):
            return NotImplemented
        return np.array_equal(self.losses, other.losses) and np.array_equal(self.slopes, other.slopes)

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
    objectives: Objectives, differentiable: Mapping[str, Sequence[str]], searcher: str, gradients: str
) -> tuple[Guide, ...] | None:
    """The loss that steers each objective: itself where it is differentiable, otherwise its task's first one.

    Args:
        objectives: what is searched.
        differentiable: task -> its differentiable losses.
        searcher: its name, for the message.
        gradients: the searcher's `gradients`: unused, used or needed.

    Returns:
        One (task, metric) per objective; None where gradients are unused, or used and not every objective has a loss.

    Raises:
        InputError: gradients are needed, and an objective has no differentiable loss.
    """
    if gradients == "unused":
        return None
    found = []
    for objective in objectives.each:
        losses = differentiable.get(objective.task, ())
        if objective.metric in losses and not objective.maximize:
            found.append((objective.task, objective.metric))
        elif losses:
            found.append((objective.task, losses[0]))
        elif gradients == "needed":
            raise InputError(
                f"searcher '{searcher}' follows coefficient gradients, but '{objective.name}' has no differentiable "
                "loss; take an evaluator that has one (dataloader, perplexity, answers, lm_eval), or another searcher"
            )
        else:
            return None
    return tuple(found)
