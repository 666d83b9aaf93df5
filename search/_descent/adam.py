"""The moments of one gradient descent."""

from __future__ import annotations

import numpy as np

from ..history import FloatArray


class Adam:
    """Adam (Kingma & Ba 2015, https://arxiv.org/abs/1412.6980) with β 0.9 and 0.999, ε 1e-8 and no weight decay."""

    def __init__(self) -> None:
        self.first: FloatArray | float = 0.0
        self.second: FloatArray | float = 0.0
        self.steps = 0

    def move(self, gradient: FloatArray) -> FloatArray:
        """Update the moments; returns the direction to subtract, about one in every coordinate at a first step."""
        self.steps += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        scale = np.sqrt(self.second / (1.0 - 0.999**self.steps)) + 1e-8
        return np.asarray(self.first / (1.0 - 0.9**self.steps) / scale, dtype=np.float64)
