"""Evaluators whose scores follow from what the model puts out, batch by batch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from ..evaluator import Evaluator, IntArray


class Batched(Evaluator):
    """Says what the model is given, so that other evaluators can give it the same."""

    def network(self, model: Any) -> Any:
        """The module that is called: `model`, or a head of this evaluator's own on the body of `model`."""
        return model

    @abstractmethod
    def batches(self, task: str, rows: IntArray, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut samples `rows` into batches on `device`: (places in `rows` that come first in it, inputs).

        Every place comes once. A batch's shape does not depend on which samples are asked for.
        """
