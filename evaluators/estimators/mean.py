"""Mean: the plain average of the visited samples."""

from __future__ import annotations

import numpy as np

from ..racing.strata import FloatArray, IntArray
from .estimator import Estimate, Estimator


class Mean(Estimator):
    """The plain mean of what was visited; off by what the order prefers, until all is visited."""

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """Average the values, with the finite-population correction; a single value has the references' spread."""
        count, total = len(values), len(self.strata.numbers)
        spread = float(self.references.var()) if self.references.size else 0.25
        variance = (values.var() * count + spread) / count
        return Estimate(float(values.mean()), float(np.sqrt(variance / count * (1.0 - count / total))))
