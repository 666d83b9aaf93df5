"""Per-sample scores of one metric, and the statistics that follow from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, TrialError
from .bootstrap import REPLICATES, crossed_resamples, replicated, resamples, take, told_by

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MetricScores:
    """One metric of one task, on a fixed list of samples.

    Attributes:
        value: the metric over all the samples.
        samples: one value per sample, float64, `samples`; None where the metric has no per-sample values.
        replicates: bootstrap values of the metric, float64, `REPLICATES` (fewer where one value is slow to compute),
            NaN for a resample on which the metric is undefined; None where `value` is the plain mean of `samples`,
            whose error is known without them. Resamples are seeded by the number of samples alone, so the
            replicates of two candidates on the same samples are paired.
    """

    value: float
    samples: FloatArray | None
    replicates: FloatArray | None

    @classmethod
    def mean(cls, samples: Sequence[float] | NDArray[Any]) -> MetricScores:
        """The plain mean of one value per sample (accuracy, loss, reward).

        Raises:
            InputError: no samples.
        """
        values = np.asarray(samples, dtype=np.float64)
        _require_samples(values.size)
        return cls(float(values.mean()), values, None)

    @classmethod
    def weighted(
        cls,
        sums: Sequence[float] | NDArray[Any],
        weights: Sequence[float] | NDArray[Any],
        link: Literal["identity", "exp"] = "identity",
    ) -> MetricScores:
        """link(Σ sums / Σ weights): a ratio of totals, such as perplexity = exp(Σ nll / Σ tokens).

        Args:
            sums: one total per sample (nats of one window), `samples`.
            weights: what each total is divided by (tokens of that window), `samples`, not negative.
            link: applied to the ratio; the value of sample i is link(sums[i] / weights[i]), and that of a sample
                without weight, which says nothing, the overall value.

        Raises:
            InputError: no samples, unequal lengths, a negative weight, or weights that add up to zero.
        """
        totals, sizes = np.asarray(sums, dtype=np.float64), np.asarray(weights, dtype=np.float64)
        _require_samples(totals.size)
        if totals.shape != sizes.shape or sizes.min() < 0 or sizes.sum() == 0:
            raise InputError(
                f"{totals.size} sums and {sizes.size} weights that add up to {sizes.sum():g}; "
                "give one weight per sum, none negative and not all zero"
            )
        function = np.exp if link == "exp" else np.asarray
        ratio = totals.sum() / sizes.sum()
        # A model that is far off overflows exp; the caller refuses the infinite value by name.
        with np.errstate(over="ignore"):
            each = function(np.divide(totals, sizes, out=np.full_like(totals, ratio), where=sizes > 0))
            rows = [(totals[row].sum(), sizes[row].sum()) for row in resamples(totals.size)]
            drawn = np.array([total / size if size > 0 else math.nan for total, size in rows])
            return cls(float(function(ratio)), each, told_by(totals.size, function(drawn)))

    @classmethod
    def aggregate(
        cls, items: Sequence[Any] | NDArray[Any], function: Callable[[Any], float], replicates: int = REPLICATES
    ) -> MetricScores:
        """A metric of the whole list of items (BLEU, a rank correlation); its error comes from the bootstrap.

        The replicates are moved so that their mean is the value: the bootstrap of a biased metric has its bias twice.

        Args:
            items: one item per sample, `samples`; an array of any type is indexed rather than copied to a list.
            function: the metric of a list of items; resamples on which it raises ValueError or an ArithmeticError,
                or is not finite, become NaN and are left out of the error.
            replicates: number of resamples, for a `function` so slow that `REPLICATES` calls are too many.

        Raises:
            InputError: no items.
            ValueError: from `function`, on the items themselves.
        """
        _require_samples(len(items))
        value = float(function(items))
        drawn = replicated(function, ((take(items, row),) for row in resamples(len(items), replicates)))
        known = drawn[np.isfinite(drawn)]
        return cls(value, None, told_by(len(items), drawn + (value - known.mean() if known.size else 0.0)))

    @classmethod
    def decisions(
        cls,
        labels: Sequence[Any] | NDArray[Any],
        answers: Sequence[Any] | NDArray[Any],
        function: Callable[[Any, Any], float],
        replicates: int = REPLICATES,
    ) -> MetricScores:
        """A metric of a confusion matrix (F1, Matthews correlation); its error comes from a smoothed bootstrap.

        Args:
            labels: class of each sample, `samples`.
            answers: what was decided, or what it is decided by, `samples x ...`.
            function: the metric of labels and answers; what holds for `aggregate` holds here.
            replicates: number of resamples, see `bootstrap.crossed_resamples`.

        Raises:
            InputError: no samples.
            ValueError: from `function`, on the labels and answers themselves.
        """
        _require_samples(len(labels))
        value = float(function(labels, answers))
        rows = crossed_resamples(labels, replicates)
        drawn = replicated(function, ((take(labels, one), take(answers, other)) for one, other in rows))
        return cls(value, None, told_by(len(labels), drawn))

    @property
    def stderr(self) -> float:
        """Standard error of `value` over the choice of samples.

        Infinite where nothing is known of it: for a single sample, or a metric undefined on all resamples but one.
        """
        return _error_of_mean(self._per_sample()) if self.replicates is None else _spread(self.replicates)

    def difference(self, other: MetricScores) -> tuple[float, float]:
        """Paired difference `self - other` on the same samples, and its standard error.

        Raises:
            InputError: the two are not scores of one metric on equally many samples.
        """
        if self.replicates is None and other.replicates is None:
            _require_pairs(self._per_sample().size, other._per_sample().size)
            each = self._per_sample() - other._per_sample()
            return float(each.mean()), _error_of_mean(each)
        if self.replicates is None or other.replicates is None:
            raise InputError("a plain mean cannot be paired with a bootstrap; compare scores of one metric")
        _require_pairs(self.replicates.size, other.replicates.size)
        return self.value - other.value, _spread(self.replicates - other.replicates)

    def _per_sample(self) -> FloatArray:
        if self.samples is None:
            raise InputError(f"scores with value {self.value} have neither samples nor replicates; give one of them")
        return self.samples


def require_finite(task: str, metric: str, scores: MetricScores) -> MetricScores:
    """Return `scores` unless its value or one of its samples is NaN or infinite.

    Raises:
        TrialError: it is; names the task, the metric, and how many samples.
    """
    bad = 0 if scores.samples is None else int(np.count_nonzero(~np.isfinite(scores.samples)))
    if bad or not math.isfinite(scores.value):
        total = "" if scores.samples is None else f" ({bad} of {scores.samples.size} samples are not finite)"
        raise TrialError(f"{task}/{metric} is {scores.value}{total}; this candidate cannot be compared with others")
    return scores


def _require_samples(count: int) -> None:
    if count == 0:
        raise InputError("a metric of 0 samples is undefined; ask for at least one sample")


def _require_pairs(count: int, other: int) -> None:
    if count != other:
        raise InputError(f"scores of {count} and of {other} samples cannot be paired; score both on the same samples")


def _error_of_mean(values: FloatArray) -> float:
    return float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.inf


def _spread(replicates: FloatArray) -> float:
    finite = replicates[np.isfinite(replicates)]
    return float(finite.std(ddof=1)) if finite.size > 1 else math.inf
