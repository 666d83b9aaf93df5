"""Fronts, hypervolume and the order of trials under floors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.search.history import History
from mergesearch.search.pareto import best_row, deb_order, front, hypervolume
from mergesearch.spaces.box import Box


def test_front_keeps_equal_trials() -> None:
    losses = np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [2.0, 2.0]])
    assert front(losses).tolist() == [False, True, True, True, False]


def test_infeasible_trials_neither_stand_nor_dominate() -> None:
    losses = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 1.0]])
    assert front(losses, np.array([False, True, True])).tolist() == [False, True, True]
    assert front(losses, np.zeros(3, dtype=bool)).tolist() == [False] * 3


def test_front_of_one_objective_and_of_nothing() -> None:
    assert front(np.array([[2.0], [1.0], [1.0]])).tolist() == [False, True, True]
    assert front(np.empty((0, 2))).tolist() == []


def test_front_refuses_nan() -> None:
    with pytest.raises(InputError, match=r"losses of trial 1 are \[nan, 1.0\]; leave trials without a score out"):
        front(np.array([[0.0, 0.0], [np.nan, 1.0]]))


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), max_size=12))
@settings(max_examples=60, deadline=None)
def test_front_is_what_nobody_dominates(rows: list[tuple[int, int, int]]) -> None:
    losses = np.array(rows, dtype=np.float64).reshape(-1, 3)
    dominated = [any(np.all(other <= row) and np.any(other < row) for other in losses) for row in losses]
    assert front(losses).tolist() == [not each for each in dominated]


def test_hypervolume() -> None:
    reference = np.array([3.0, 3.0])
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0]]), reference) == pytest.approx(3.0)
    assert hypervolume(np.array([[1.0, 2.0], [2.0, 1.0], [4.0, 0.0]]), reference) == pytest.approx(3.0)
    assert hypervolume(np.array([[4.0, 4.0]]), reference) == 0.0
    assert hypervolume(np.empty((0, 2)), reference) == 0.0


def test_deb_order() -> None:
    """Feasible by loss; then infeasible by total violation, whatever their loss; equals in order of age."""
    losses = np.array([[5.0], [0.0], [1.0], [0.0], [1.0]])
    violations = np.array([[-1.0, 0.0], [0.5, 0.5], [0.0, -3.0], [0.2, -9.0], [0.0, 0.0]])
    history = History(Box(1), 5, np.zeros((5, 1)), losses, 0 * losses, violations)
    assert deb_order(history).tolist() == [2, 4, 0, 3, 1]
    assert best_row(history) == 2
