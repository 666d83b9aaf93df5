"""The contract of an estimator: a mean over all samples, and its error, from some of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..racing.strata import FloatArray, IntArray, Strata


@dataclass(frozen=True)
class Estimate:
    """A mean over all samples of a task.

    Attributes:
        value: the estimate; the mean itself where all samples were visited.
        error: its standard error over the choice of samples; 0 where all samples were visited.
    """

    value: float
    error: float


class Estimator(ABC):
    """Estimates the mean of a candidate over all samples of a task that the search sees.

    Args:
        strata: of the task.
        references: full scores of the members, float64, `references x samples`; there may be none.
    """

    def __init__(self, strata: Strata, references: FloatArray) -> None:
        self.strata, self.references = strata, references

    @abstractmethod
    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """Estimate from scores of distinct samples.

        Args:
            visited: positions, int64, `visited`, in any order; at least one.
            values: scores of the candidate on them, float64, `visited`.
        """
