"""Mean: the plain average of the visited samples."""

from __future__ import annotations

import numpy as np

from ..racing.strata import FloatArray, IntArray
from .estimator import Estimate, Estimator
from .stratified import expected_variance


class Mean(Estimator):
    """The plain mean of what was visited; off by what the order prefers, until all is visited."""

    def estimate(self, visited: IntArray, values: FloatArray) -> Estimate:
        """Average the values; their variance is taken with one more value, as far off as the references' variance."""
        count, total = len(values), len(self.strata.numbers)
        variance = (values.var() * count + expected_variance(self.references, values)) / count
        return Estimate(float(values.mean()), float(np.sqrt(variance / count * (1.0 - count / total))))
