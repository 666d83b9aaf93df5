"""One candidate against several others, paired on the same samples: how far apart, and with what error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from ...errors import InputError
from .combined import made_alike
from .scores import FloatArray, MetricScores


@dataclass(frozen=True)
class Differences:
    """Paired differences of one metric, each an array `others`, float64.

    Attributes:
        values: the differences of the scores.
        centers: of their intervals, and what is tested against zero.
        errors: standard errors of the centers; infinite where nothing is known of them.
        freedom: degrees of freedom of the errors; infinite for a normal distribution.
    """

    values: FloatArray
    centers: FloatArray
    errors: FloatArray
    freedom: FloatArray

    @property
    def p_values(self) -> FloatArray:
        """Chance of a difference at least as large between equal candidates, two-sided; 1 between identical ones."""
        with np.errstate(divide="ignore", invalid="ignore"):
            statistic = np.where(self.centers == 0, 0.0, np.abs(self.centers) / self.errors)
        return np.asarray(2 * stdtr(np.maximum(self.freedom, 1), -statistic), dtype=np.float64)


def differences(ours: MetricScores, others: Sequence[MetricScores], parts: int = 1) -> Differences:
    """Differences `ours - other` on the same samples, for every other.

    Where all values are 0 or 1 half a sample is added to each of the four ways in which two candidates may answer
    (Agresti and Min 2005): a few samples on which they differ, or none, then do not prove them different, or equal.
    Other means are compared by Student's t of the differences per sample, aggregated metrics by the spread of the
    differences of their replicates, to which that of one more sample is added where they are shares.

    Args:
        ours: scores of the one candidate.
        others: of the others.
        parts: how many such differences, of independent tasks, will be added up; they share what is added (as do the
            terms of a linear function of proportions in Price and Bonett 2004).

    Raises:
        InputError: they are not scores of one metric on equally many samples.
    """
    ours, *others = made_alike([ours, *others])
    _require_alike([ours, *others])
    values = np.array([ours.value - other.value for other in others])
    if ours.replicates is not None:
        return _of_replicates(values, ours.replicates, np.array([other.replicates for other in others]), parts)
    one, all_others = np.asarray(ours.samples), np.array([other.samples for other in others])
    if is_binary(one) and is_binary(all_others):
        return _of_answers(values, one, all_others, 0.5 / parts)
    each = one - all_others
    errors = each.std(axis=1, ddof=1) / math.sqrt(one.size) if one.size > 1 else np.full(len(values), math.inf)
    return Differences(values, values, errors, np.full(len(values), one.size - 1.0))


def is_binary(values: FloatArray) -> bool:
    """Whether every value is 0 or 1."""
    return bool(((values == 0) | (values == 1)).all())


def _require_alike(each: Sequence[MetricScores]) -> None:
    kinds = {("replicates", len(one.replicates)) if one.replicates is not None else _samples(one) for one in each}
    if len(kinds) > 1:
        found = " and ".join(f"{count} {what}" for what, count in sorted(kinds))
        raise InputError(f"scores with {found} cannot be paired; compare scores of one metric on the same samples")


def _samples(scores: MetricScores) -> tuple[str, int]:
    if scores.samples is None:
        raise InputError(f"scores with value {scores.value} have neither samples nor replicates; give one of them")
    return "samples", len(scores.samples)


def _of_answers(values: FloatArray, ours: FloatArray, others: FloatArray, added: float) -> Differences:
    """Adjusted Wald statistic of matched proportions (Agresti and Min 2005, section 3)."""
    count = ours.size + 4 * added
    won = ((ours > others).sum(axis=1) + added) / count
    lost = ((ours < others).sum(axis=1) + added) / count
    centers = won - lost
    errors = np.sqrt((won + lost - centers**2) / count)
    return Differences(values, centers, errors, np.full(len(values), math.inf))


def _of_replicates(values: FloatArray, ours: FloatArray, others: FloatArray, parts: int) -> Differences:
    each = ours - others
    finite = np.isfinite(each)
    count = finite.sum(axis=1)
    known = count > 1
    errors = np.full(len(values), math.inf)
    each, finite = np.where(finite, each, np.nan)[known], finite[known]
    added = (_one_sample(ours) ** 2 + np.array([_one_sample(other) ** 2 for other in others])[known]) / (2 * parts)
    errors[known] = np.sqrt(np.nanvar(each, axis=1, ddof=1) + added)
    return Differences(values, values, errors, count - 1.0)


def _one_sample(replicates: FloatArray) -> float:
    """What a metric may change by on one sample, where it is a share: where no replicate is below 0 or above 1.

    One over the effective number of samples, of which a plain share would vary as much (Kish 1965, Survey sampling,
    section 8.2): for a plain share what halves added to each way of answering come to. 0 where it is no share.
    """
    known = replicates[np.isfinite(replicates)]
    if known.size < 2 or known.min() < 0 or known.max() > 1:
        return 0.0
    largest = float(known.mean() * (1 - known.mean()))
    return float(known.var(ddof=1)) / largest if largest else 0.0
