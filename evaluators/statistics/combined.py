"""One score from several metrics of one task: a weighted sum that keeps what they share, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .scores import REPLICATES, FloatArray, MetricScores, resamples


def combined(weights: Sequence[float] | FloatArray, scores: Sequence[MetricScores]) -> MetricScores:
    """The weighted sum of scores on the same samples, with its error.

    Plain means are added sample by sample. Where one of the metrics has only replicates, all are added replicate by
    replicate: those of equally many samples are made of the same resamples.

    Args:
        weights: one per score.
        scores: of several metrics, or of several candidates.

    Raises:
        ValueError: plain means of unequally many samples.
    """
    value = float(np.dot(weights, [one.value for one in scores]))
    plain = [one.samples for one in scores if one.replicates is None and one.samples is not None]
    if len(plain) == len(scores):
        return MetricScores(value, np.tensordot(weights, np.array(plain), 1), None)
    count = min((one.replicates.size for one in scores if one.replicates is not None), default=REPLICATES)
    drawn = np.array([_replicates(one, count) for one in scores])
    return MetricScores(value, None, np.tensordot(weights, drawn, 1))


def _replicates(scores: MetricScores, count: int) -> FloatArray:
    """The first `count` replicates of a metric; a plain mean's are made on the spot."""
    if scores.replicates is not None or scores.samples is None:
        return np.full(count, np.nan) if scores.replicates is None else scores.replicates[:count]
    return np.array([scores.samples[row].mean() for row in resamples(scores.samples.size, count)])
