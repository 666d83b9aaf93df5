"""The verdict says better, no different, or worse, and is right about it as often as it claims."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.evaluators.statistics.intervals import Interval
from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import WeightedMean
from mergesearch.runs.outcome.shortlist import Shortlist
from mergesearch.runs.outcome.verdict import Comparison, compare, sentence

OBJECTIVES = Objectives((Objective("a", "acc", True), Objective("b", "acc", True)))
MEAN = WeightedMean(OBJECTIVES, np.array([0.5, 0.5]))
CHOSEN = Shortlist((7,), 7, None, {"uniform soup": 4, "greedy soup": 9, "best member": 1})


def scores(rng: np.random.Generator, accuracy: float) -> list[MetricScores]:
    return [MetricScores.mean((rng.random(300) < accuracy).astype(float)) for _ in range(2)]


def test_better_than_all() -> None:
    rng = np.random.default_rng(0)
    held_out = {7: scores(rng, 0.9), 4: scores(rng, 0.5), 9: scores(rng, 0.6), 1: scores(rng, 0.4)}
    text = sentence(CHOSEN, compare(MEAN, CHOSEN, held_out))
    assert text.startswith("On held-out samples trial 7 is better than uniform soup (+0.")
    assert "greedy soup" in text and "best member" in text and "not proven" not in text


def test_no_different_and_worse_are_said() -> None:
    none, worse = Interval(0.01, -0.029, 0.05), Interval(-0.2, -0.24, -0.16)
    parts = [Comparison("uniform soup", none), Comparison("best member", worse)]
    text = sentence(CHOSEN, parts)
    assert "within noise of uniform soup (+0.0100 [-0.0290, +0.0500])" in text
    assert "worse than best member (-0.2000 [-0.2400, -0.1600])" in text
    assert "it is not proven better than all of them" in text


def test_a_baseline_that_wins_is_named() -> None:
    chosen = Shortlist((4,), 4, None, {"uniform soup": 4, "best member": 1})
    assert sentence(chosen, []) == "The search found nothing better than the uniform soup (trial 4), which wins."


def test_floors_that_no_trial_keeps() -> None:
    text = sentence(Shortlist((), None, 3, {}), [])
    assert text == "No trial keeps all floors; trial 3 comes nearest."


def test_nothing_held_out() -> None:
    assert "nothing was held out" in sentence(CHOSEN, compare(MEAN, CHOSEN, {}))


@pytest.mark.slow
def test_equal_models_are_called_different_in_one_of_twenty() -> None:
    rng = np.random.default_rng(0)
    chosen = Shortlist((7,), 7, None, {"uniform soup": 4})
    verdicts = [compare(MEAN, chosen, {7: scores(rng, 0.7), 4: scores(rng, 0.7)})[0].verdict for _ in range(2000)]
    rate = sum(verdict != "no different" for verdict in verdicts) / len(verdicts)
    assert 0.035 < rate < 0.065


def test_one_held_out_sample_proves_nothing() -> None:
    one = {number: [MetricScores.mean([value]) for _ in range(2)] for number, value in ((7, 1.0), (4, 0.0))}
    (comparison,) = compare(MEAN, Shortlist((7,), 7, None, {"uniform soup": 4}), one)
    assert comparison.gain.value == 1.0 and comparison.verdict == "no different"


def test_a_rival_that_wins_is_compared_with_the_others_alone() -> None:
    rng = np.random.default_rng(1)
    chosen = Shortlist((4,), 4, None, {"uniform soup": 4, "best member": 1})
    found = compare(MEAN, chosen, {4: scores(rng, 0.9), 1: scores(rng, 0.5)})
    assert [comparison.rival for comparison in found] == ["best member"]
