"""Two ways to parametrise the ratios of AMA at a given mean: a normalised sigmoid, and the ratios themselves."""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logit

from ...spaces.ratios import onto_mean
from ..history import FloatArray


class SigmoidMap:
    """r_k = mean·Σw·(σ(s_k) + ε) / Σ w·(σ(s) + ε), of which the mean holds for every s.

    So the released code of AMA has it; the paper's equation 11 lacks the number of groups. ε keeps the largest ratio
    below (1 + ε) / ε times the smallest. Large means can still lead above 1; then the nearest ratios in [0, 1] of the
    same mean are taken, and slopes pass as if they had not been.

    Args:
        mean: of the ratios, in (0, 1).
        weights: of the groups in the mean, float64, `groups`.
        epsilon: not negative.
    """

    def __init__(self, mean: float, weights: FloatArray, epsilon: float) -> None:
        self.mean, self.weights, self.epsilon = mean, weights, epsilon

    def start(self) -> FloatArray:
        """All at the mean."""
        return np.full(len(self.weights), logit(self.mean))

    def ratios(self, values: FloatArray) -> FloatArray:
        """Ratios, float64, `groups`, of logits."""
        return onto_mean(self._unbounded(values), self.mean, self.weights)

    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        """∂/∂s = σ'/S · (mean·Σw·∂/∂r - w·Σ r·∂/∂r) with S = Σ w·(σ + ε), from ∂/∂r, `groups`."""
        raised, ratios = expit(values), self._unbounded(values)
        total = self.weights @ (raised + self.epsilon)
        spread = self.mean * self.weights.sum() * slopes - self.weights * (slopes @ ratios)
        return np.asarray(raised * (1.0 - raised) / total * spread)

    def onto(self, values: FloatArray) -> FloatArray:
        """All logits are allowed."""
        return values

    def _unbounded(self, values: FloatArray) -> FloatArray:
        raised = expit(values) + self.epsilon
        if np.ptp(raised) == 0.0:
            return np.full(len(raised), self.mean)  # plain averaging to the last bit
        return np.asarray(self.mean * self.weights.sum() * raised / (self.weights @ raised))


class ProjectedMap:
    """The parameters are the ratios, pulled back onto the mean and [0, 1] after every step.

    No ratio is out of reach, and one at 0 or 1 leaves it as soon as its slope says so.

    Args:
        mean: of the ratios, in (0, 1).
        weights: of the groups in the mean, float64, `groups`.
    """

    def __init__(self, mean: float, weights: FloatArray) -> None:
        self.mean, self.weights = mean, weights

    def start(self) -> FloatArray:
        """All at the mean."""
        return np.full(len(self.weights), self.mean)

    def ratios(self, values: FloatArray) -> FloatArray:
        """The values themselves."""
        return values

    def gradient(self, values: FloatArray, slopes: FloatArray) -> FloatArray:
        """What of ∂/∂r, `groups`, leaves the mean as it is.

        Adam divides every coordinate by its own size. What all have in common must go before, or nothing but signs
        that are all alike would be left, which the projection undoes.
        """
        return np.asarray(slopes - self.weights * (self.weights @ slopes) / (self.weights @ self.weights))

    def onto(self, values: FloatArray) -> FloatArray:
        """The nearest ratios of the mean in [0, 1]."""
        return onto_mean(values, self.mean, self.weights)
