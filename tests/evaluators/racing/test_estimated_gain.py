"""Estimated gain of one objective."""

from __future__ import annotations

import numpy as np

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.evaluators.racing.estimated_gain import EstimatedGain


def test_the_least_estimate_comes_first_and_counts_from_the_least_known_loss() -> None:
    gains = EstimatedGain(np.array([[0.5], [0.75]]), {1: [Estimate(0.25, 0.1)], 2: [Estimate(0.25, 0.1)]})
    assert gains.best() == (1, 0.25)
    gains.update(1, [Estimate(1.0, 0.0)])
    assert gains.best() == (2, 0.25)
    gains.confirm(np.array([0.125]))
    assert gains.best() == (2, -0.125)
    gains.drop(2)
    gains.drop(1)
    assert gains.best() is None


def test_what_is_known_to_be_worse_changes_nothing() -> None:
    gains = EstimatedGain(np.array([[0.5]]), {4: [Estimate(0.25, 0.1)]})
    gains.confirm(np.array([0.75]))
    assert gains.best() == (4, 0.25)


def test_with_nobody_known_all_gain_infinitely_much() -> None:
    assert EstimatedGain(np.empty((0, 1)), {4: [Estimate(0.5, 0.1)]}).best() == (4, np.inf)
