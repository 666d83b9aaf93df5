"""Signal and noise: whether the samples of a task can tell candidates from one another, and how many could."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from .scores import FloatArray, MetricScores

SEPARATING = 2.0  # ratio from which a task separates: a typical difference of two candidates leaves its 95 % interval


@dataclass(frozen=True)
class Signal:
    """How far apart candidates are by one metric, and how well that is known.

    Attributes:
        candidates: number of them.
        samples: number of samples that each was scored on.
        spread: standard deviation of the candidates' true scores, estimated: that of their scores, less the noise.
        most: what the spread may be at most, with 95 % confidence.
        noise: standard error of a candidate's score beside those of the others. What a choice of samples does to all
            candidates alike is no noise, for it changes no comparison.
    """

    candidates: int
    samples: int
    spread: float
    most: float
    noise: float

    @property
    def ratio(self) -> float:
        """Signal-to-noise ratio, spread over noise: also a typical (root mean square) difference over its error."""
        return _ratio(self.spread, self.noise)

    @property
    def separates(self) -> bool:
        """Whether the ratio is `SEPARATING` or more."""
        return self.ratio >= SEPARATING

    @property
    def needed(self) -> float:
        """Number of samples at which the task separates these candidates: noise falls as their square root grows.

        Where no spread was found, the number below which it cannot: that for `most`. May be infinite.
        """
        ratio = self.ratio or _ratio(self.most, self.noise)
        return math.inf if ratio == 0 else max(1.0, math.ceil(self.samples * (SEPARATING / ratio) ** 2))


def signal(scores: Sequence[MetricScores], samples: int) -> Signal:
    """Signal and noise of one metric, from candidates that were scored on the same samples.

    Args:
        scores: one per candidate, two or more, none a copy of another.
        samples: number of samples.
    """
    return signal_of(np.array([one.value for one in scores]), relative_noise(scores), samples)


def signal_of(values: FloatArray, noise: float, samples: int) -> Signal:
    """The same from the candidates' scores, `candidates`, and the noise of one.

    The variance of the scores is spread² + noise² on average, and is distributed as that times χ² over its degrees of
    freedom (random effects; Searle, Casella and McCulloch 1992, chapter 3), from which `most` follows.
    """
    if not math.isfinite(noise):
        return Signal(len(values), samples, 0.0, math.inf, noise)
    freedom = len(values) - 1
    between = float(np.var(values, ddof=1))
    upper = between * freedom / float(chdtri(freedom, 0.95))
    spread, most = (math.sqrt(max(square - noise**2, 0.0)) for square in (between, upper))
    return Signal(len(values), samples, spread, most, noise)


def relative_noise(scores: Sequence[MetricScores]) -> float:
    """Standard error of a candidate's score relative to the others'; infinite where nothing is known of it.

    Values are taken apart into what belongs to the candidate, to the sample, and to neither (two-way analysis of
    variance without replication); the last is the noise. Of aggregated metrics the replicates are taken apart.
    """
    if any(one.replicates is not None or one.samples is None for one in scores):
        return _residual(np.array([one.replicates for one in scores if one.replicates is not None]))
    each = np.array([one.samples for one in scores])
    return _residual(each) / math.sqrt(each.shape[1])


def _residual(table: FloatArray) -> float:
    """Standard deviation of what belongs neither to a row nor to a column of a table, `candidates x columns`."""
    known = table[:, np.isfinite(table).all(axis=0)]
    rows, columns = known.shape
    if rows < 2 or columns < 2:
        return math.inf
    rest = known - known.mean(axis=0) - known.mean(axis=1, keepdims=True) + known.mean()
    return math.sqrt(float((rest**2).sum()) / ((rows - 1) * (columns - 1)))


def _ratio(spread: float, noise: float) -> float:
    if noise == 0:
        return math.inf if spread else 0.0
    return 0.0 if math.isinf(noise) else spread / noise
