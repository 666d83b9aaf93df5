"""Several metrics of one task as one score."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.evaluators.statistics.combined import combined
from mergesearch.evaluators.statistics.scores import MetricScores


def test_plain_means_are_added_sample_by_sample() -> None:
    """Two metrics that cancel each other on every sample leave no error."""
    values = np.random.default_rng(0).random(50)
    sum_of_both = combined([0.5, -0.5], [MetricScores.mean(values), MetricScores.mean(values + 1)])
    assert sum_of_both.value == pytest.approx(-0.5) and sum_of_both.stderr == pytest.approx(0.0, abs=1e-12)
    assert sum_of_both.replicates is None


def test_a_mean_and_a_bootstrap_are_added_on_the_same_resamples() -> None:
    values = np.random.default_rng(1).normal(size=70)
    plain, drawn = MetricScores.mean(values), MetricScores.aggregate(values, np.mean, replicates=64)
    nothing = combined([1.0, -1.0], [plain, drawn])
    assert nothing.samples is None and nothing.replicates is not None and len(nothing.replicates) == 64
    assert nothing.stderr == pytest.approx(0.0, abs=1e-12)
    assert combined([1.0, 1.0], [plain, drawn]).stderr == pytest.approx(2 * drawn.stderr)


def test_a_resample_that_one_of_them_is_undefined_on_is_left_out() -> None:
    one = MetricScores(1.0, None, np.array([1.0, np.nan, 3.0, 4.0]))
    found = combined([0.5, 0.5], [one, MetricScores(2.0, None, np.array([1.0, 2.0, 5.0]))])
    assert found.value == 1.5
    np.testing.assert_array_equal(found.replicates, [1.0, np.nan, 4.0])
