"""Resamples, and what a bootstrap must not conclude from a class of which there are a few samples."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef

from mergesearch.evaluators.statistics.bootstrap import REPLICATES, crossed_resamples, resamples
from mergesearch.evaluators.statistics.intervals import difference_interval, score_interval
from mergesearch.evaluators.statistics.scores import MetricScores


def test_resamples_depend_on_the_count_alone_and_a_shorter_run_is_a_prefix() -> None:
    rows = list(resamples(30))
    assert len(rows) == REPLICATES
    assert all((a == b).all() for a, b in zip(rows, resamples(30, 10), strict=False))
    assert not (rows[0] == rows[1]).all()


def test_a_crossed_resample_is_a_resample_but_for_one_draw_on_average() -> None:
    labels = np.arange(60) % 5
    pairs = list(crossed_resamples(labels, 200))
    rows = zip(pairs, resamples(60, 200), strict=True)
    strange = [np.count_nonzero((one != row) | (other != row)) for (one, other), row in rows]
    assert np.mean(strange) == pytest.approx(60 / 61, abs=0.2)
    np.testing.assert_array_equal(pairs, list(crossed_resamples([f"class {label}" for label in labels], 200)))


def test_strangers_are_of_each_class_alike() -> None:
    """Of 10 positive and 90 negative samples, half of the strangers have a positive label, and half such an answer."""
    labels = np.arange(100) < 10
    rows = np.array(list(crossed_resamples(labels, 4000))).swapaxes(1, 2).reshape(-1, 2)
    crossed = labels[rows[rows[:, 0] != rows[:, 1]]]
    assert crossed.mean(axis=0) == pytest.approx(0.49, abs=0.04)
    assert np.mean(crossed[:, 0] == crossed[:, 1]) == pytest.approx(0.49, abs=0.04)


@pytest.mark.parametrize("metric", [f1_score, matthews_corrcoef])
def test_a_few_positives_that_were_all_found_do_not_prove_that_all_are(metric: object) -> None:
    labels = (np.arange(50) < 5).astype(int)
    plain = MetricScores.aggregate(labels, lambda some: float(metric(some, some)))  # type: ignore[operator]
    assert score_interval(plain).low > 0.99
    found = score_interval(MetricScores.decisions(labels, labels, metric, 64))  # type: ignore[arg-type]
    assert 0.5 < found.low < 0.9 and found.high == found.value == 1.0


@pytest.mark.parametrize("positives", [5, 10])
def test_intervals_of_f1_cover_what_they_claim(positives: int) -> None:
    """A classifier of 50 samples; plain percentiles cover 0.84 and 0.92 here."""
    generator, held = np.random.default_rng(positives), []
    for _ in range(500):
        labels = generator.random(50) < positives / 50
        answers = labels ^ (generator.random(50) > 0.96)
        if labels.any():
            held.append(_truth(positives / 50, 0.96) in score_interval(MetricScores.decisions(labels, answers, f1, 64)))
    assert 0.92 < np.mean(held) < 0.98


def test_candidates_stay_paired() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=300)
    first = np.where(generator.random(300) < 0.8, labels, (labels + 1) % 3)
    second = np.where(generator.random(300) < 0.02, (labels + 2) % 3, first)
    one, other = (MetricScores.decisions(labels, answers, matthews_corrcoef, 64) for answers in (first, second))
    found = difference_interval(one, other)
    assert found.high - found.low < 0.5 * (score_interval(one).high - score_interval(one).low)
    assert 0.0 < difference_interval(one, one).high < 0.02


def f1(labels: NDArray[np.bool_], answers: NDArray[np.bool_]) -> float:
    return float(2 * (labels & answers).sum() / (labels.sum() + answers.sum()))


def _truth(positive: float, right: float) -> float:
    both = positive * right
    return 2 * both / (positive + both + (1 - positive) * (1 - right))
