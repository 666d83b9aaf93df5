"""Per-sample scores of one metric, and the statistics that follow from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
REPLICATES = 256


@dataclass(frozen=True)
class MetricScores:
    """One metric of one task, on a fixed list of samples.

    Attributes:
        value: the metric over all the samples.
        samples: one value per sample, float64, `samples`; None where the metric has no per-sample values.
        replicates: bootstrap values of the metric, float64, `REPLICATES`; None where `value` is the plain mean of
            `samples`, whose error is known without them. Resamples are seeded by the number of samples alone, so
            the replicates of two candidates on the same samples are paired.
    """

    value: float
    samples: FloatArray | None
    replicates: FloatArray | None

    @classmethod
    def mean(cls, samples: Sequence[float] | FloatArray) -> MetricScores:
        """The plain mean of one value per sample (accuracy, loss, reward)."""
        values = np.asarray(samples, dtype=np.float64)
        return cls(float(values.mean()), values, None)

    @classmethod
    def aggregate(cls, items: Sequence[Any], function: Callable[[Sequence[Any]], float]) -> MetricScores:
        """A metric of the whole list of items (F1, BLEU, perplexity); its error comes from the bootstrap."""
        raise NotImplementedError

    @property
    def stderr(self) -> float:
        """Standard error of `value` over the choice of samples; 0.0 for a single sample."""
        raise NotImplementedError

    def difference(self, other: MetricScores) -> tuple[float, float]:
        """Paired difference `self - other` on the same samples, and its standard error."""
        raise NotImplementedError
