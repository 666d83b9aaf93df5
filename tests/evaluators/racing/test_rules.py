"""The rules that stop a candidate: dominated for sure, or fallen behind."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.evaluators.racing.dominance import dominated_by
from mergesearch.evaluators.racing.halving import falls_behind

FRONT = np.array([[0.1, 0.9], [0.5, 0.5], [0.9, 0.1]])


def estimates(*pairs: tuple[float, float]) -> list[Estimate]:
    return [Estimate(value, error) for value, error in pairs]


def test_the_optimistic_corner_decides() -> None:
    candidate = estimates((0.6, 0.02), (0.7, 0.02))
    assert dominated_by(candidate, FRONT, 2.0) == 1
    assert dominated_by(candidate, FRONT, 6.0) is None, "0.6 - 6 · 0.02 is below 0.5"
    assert dominated_by(candidate, FRONT, 6.0, np.array([0.03, 0.0])) == 1, "a gain of 0.02 is within the margin"


def test_an_equal_candidate_is_not_dominated() -> None:
    assert dominated_by(estimates((0.5, 0.0), (0.5, 0.0)), FRONT, 2.0) is None
    assert dominated_by(estimates((0.5, 0.0), (0.51, 0.0)), FRONT, 2.0) == 1


def test_one_incumbent_must_win_everywhere() -> None:
    assert dominated_by(estimates((0.3, 0.0), (0.6, 0.0)), FRONT, 2.0) is None


def test_without_a_front_nobody_dominates() -> None:
    assert dominated_by(estimates((0.5, 0.1)), np.empty((0, 1)), 2.0) is None


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.floats(0, 0.2), st.floats(0, 4))
def test_who_is_stopped_truly_lies_behind_where_the_bounds_hold(
    values: list[float], error: float, critical: float
) -> None:
    winner = dominated_by(estimates(*((value, error) for value in values)), FRONT, critical)
    if winner is not None:
        assert (np.array(values) - critical * error >= FRONT[winner]).all()


@pytest.mark.parametrize(
    ("loss", "rivals", "stops"),
    [
        (0.5, [0.1, 0.2, 0.3, 0.4], True),
        (0.15, [0.1, 0.2, 0.3, 0.4], False),
        (0.5, [0.1, 0.2, 0.3], False),
        (0.05, [0.1, 0.2, 0.3, 0.4], False),
        (0.25, [0.1, 0.2, 0.3, 0.4], True),
        (0.2, [0.1, 0.2, 0.3, 0.4], False),
        (0.25, [0.1, 0.2, 0.3, 0.4, 0.5], False),
    ],
    ids=["worst", "second", "too few rivals", "best", "third of five", "as good as the second", "third of six"],
)
def test_halving_by_hand(loss: float, rivals: list[float], stops: bool) -> None:
    assert falls_behind(loss, np.array(rivals)) is stops


def test_halving_passes_about_the_share_kept() -> None:
    rng = np.random.default_rng(0)
    losses = rng.random(2000)
    passed = [not falls_behind(loss, losses[:number], 0.25) for number, loss in enumerate(losses)]
    assert np.mean(passed[100:]) == pytest.approx(0.25, abs=0.03)


def test_the_best_goes_on_where_the_share_is_of_less_than_one() -> None:
    rivals = np.array([0.1, 0.2, 0.3, 0.4])
    assert not falls_behind(0.05, rivals, 0.1)
    assert falls_behind(0.15, rivals, 0.1)
