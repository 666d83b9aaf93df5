"""Metrics of a confusion matrix: which of scikit-learn's they are, and that their error is a smoothed bootstrap's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mergesearch.evaluators._labelled.sklearn import find_sklearn_metric
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.statistics.intervals import score_interval


@pytest.mark.parametrize(
    ("name", "decides"),
    [
        ("f1_macro", True),
        ("balanced_accuracy", True),
        ("matthews_corrcoef", True),
        ("hamming_loss", True),
        ("roc_auc", False),
        ("neg_log_loss", False),
        ("log_loss", False),
        ("neg_brier_score", False),
    ],
)
def test_metrics_of_decisions_are_told_from_those_of_probabilities(name: str, decides: bool) -> None:
    """The latter have no limits, as log loss, which a single stranger would drown."""
    labels, outputs = np.array([0, 1, 1, 0]), np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.7, 0.3]])
    metric = find_sklearn_metric(name)
    assert metric.decides == decides
    if decides:
        assert metric.function(labels, outputs) == metric.function(labels, outputs.round())


def rare() -> list[tuple[torch.Tensor, int]]:
    """Fifty samples, of which four are positive, and the input says which."""
    return [(torch.tensor([0.0, 2.0 * (row < 4) - 1.0]), int(row < 4)) for row in range(50)]


def test_a_perfect_score_of_a_rare_class_is_not_certain() -> None:
    evaluator = DataLoaderEvaluator("rare", f"{__file__}:rare", ["f1", "matthews_corrcoef", "neg_log_loss"])
    evaluator.prepare(None, None)
    scores = evaluator.score(torch.nn.Identity(), {"rare": np.arange(50)})["rare"]
    for metric in ("f1", "matthews_corrcoef"):
        assert scores[metric].value == 1.0 and 0.4 < score_interval(scores[metric]).low < 0.95
    certain = score_interval(scores["neg_log_loss"])
    assert certain.high - certain.low < 1e-6
