"""One score from several metrics of one task: a weighted sum that keeps what they share, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .bootstrap import REPLICATES, resamples
from .scores import FloatArray, MetricScores


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
    drawn = np.array([replicates_of(one, count) for one in scores])
    return MetricScores(value, None, np.tensordot(weights, drawn, 1))


def replicates_of(scores: MetricScores, count: int) -> FloatArray:
    """The first `count` replicates of a metric; a plain mean's are made on the spot, of the same resamples.

    NaN where nothing is known of them.
    """
    if scores.replicates is not None or scores.samples is None:
        return np.full(count, np.nan) if scores.replicates is None else scores.replicates[:count]
    return np.array([scores.samples[row].mean() for row in resamples(scores.samples.size, count)])


def made_alike(scores: Sequence[MetricScores]) -> list[MetricScores]:
    """Scores of one metric, all with replicates where one has them, so that they can be paired.

    A task may have a value for each sample of most candidates, and leave some out of one.
    """
    counts = {one.replicates.size for one in scores if one.replicates is not None}
    if not counts or all(one.replicates is not None for one in scores):
        return list(scores)
    return [replace(one, replicates=replicates_of(one, min(counts))) for one in scores]
