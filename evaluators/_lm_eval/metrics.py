"""From lm-eval's responses to per-document scores, with the task's own filters, metrics and aggregations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import TrialError
from ..statistics.bootstrap import FEW_REPLICATES
from ..statistics.scores import MetricScores
from .tasks import LoadedTask


def task_scores(name: str, loaded: LoadedTask, documents: Sequence[Sequence[Any]]) -> dict[str, MetricScores]:
    """Metric -> scores from the answered requests of each document, in the order of the documents.

    Raises:
        TrialError: a metric was computed for none of them, or cannot be aggregated.
    """
    task = loaded.task
    # The library filters the requests that its task built last; here they are the ones of the chosen documents.
    task._instances = [request for requests in documents for request in requests]
    task.apply_filters()
    filters = {one for _, one in loaded.columns.values()}
    results = {one: [_results(task, requests, one) for requests in documents] for one in filters}
    return {
        column: _column_scores(f"{name}/{column}", task.aggregation()[metric], metric, results[one])
        for column, (metric, one) in loaded.columns.items()
    }


def _column_scores(
    label: str, aggregation: Callable[[Any], Any], metric: str, results: Sequence[Mapping[str, Any]]
) -> MetricScores:
    items = [result.get(metric) for result in results]
    if all(item is None for item in items):
        produced = ", ".join(sorted({key for result in results for key in result}))
        raise TrialError(f"{label} was computed for no document; the task computed {produced or 'nothing'}")
    try:
        return _metric_scores(aggregation, items)
    except (ValueError, TypeError, ArithmeticError) as error:
        raise TrialError(f"{label} cannot be computed from {len(items)} documents: {error}") from error


def _results(task: Any, requests: Sequence[Any], filter_name: str) -> Mapping[str, Any]:
    answers = [request.filtered_resps[filter_name] for request in requests]
    results: Mapping[str, Any] = task.process_results(requests[0].doc, answers)
    return results


def _metric_scores(aggregation: Callable[[Any], Any], items: list[Any]) -> MetricScores:
    """Scores of one item per document, None where a document has no part in the metric."""
    from lm_eval.api import metrics

    if None in items:
        return MetricScores.aggregate(
            items, lambda some: float(aggregation([one for one in some if one is not None])), FEW_REPLICATES
        )
    if aggregation in (metrics.mean, np.mean):
        return MetricScores.mean(items)
    if aggregation is metrics.perplexity:
        return MetricScores.weighted(-np.asarray(items, dtype=np.float64), np.ones(len(items)), link="exp")
    if aggregation in (metrics.weighted_perplexity, metrics.bits_per_byte):
        nats, sizes = -np.asarray(items, dtype=np.float64).T * [[1.0], [-1.0]]
        if aggregation is metrics.bits_per_byte:
            return MetricScores.weighted(nats / math.log(2), sizes)
        return MetricScores.weighted(nats, sizes, link="exp")
    if aggregation in (metrics.f1_score, metrics.matthews_corrcoef):
        labels, answers = zip(*items, strict=True)
        return MetricScores.decisions(
            labels, answers, lambda *some: float(aggregation(zip(*some, strict=True))), FEW_REPLICATES
        )
    return MetricScores.aggregate(items, lambda some: float(aggregation(some)), FEW_REPLICATES)
