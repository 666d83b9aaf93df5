"""Which searcher is recommended for which problem, and that it can do it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import mergesearch.search
from mergesearch.plugins import load_plugin, plugin_names
from mergesearch.search.recommend import Problem, recommend, searchers
from mergesearch.search.searcher import Searcher

problems = st.builds(
    Problem,
    objectives=st.integers(1, 8),
    members=st.integers(1, 20),
    dimension=st.integers(0, 600),
    trials=st.integers(0, 5000),
    differentiable=st.booleans(),
    snapshots=st.booleans(),
)


def test_only_searchers_that_there_are() -> None:
    assert set(searchers()) <= set(plugin_names(mergesearch.search.__name__, Searcher))


@given(problems)
def test_every_problem_gets_one_that_can_do_it(problem: Problem) -> None:
    chosen = recommend(problem)
    searcher = load_plugin(chosen.searcher, mergesearch.search.__name__, Searcher)(**chosen.options)
    assert problem.objectives == 1 or searcher.multi_objective
    assert searcher.gradients != "needed" or problem.differentiable
    assert "\n" not in chosen.reason


@pytest.mark.parametrize(
    ("problem", "searcher"),
    [
        (Problem(1, members=4, dimension=24, trials=50), "gp"),
        (Problem(1, members=4, dimension=24, trials=50, differentiable=True), "gp"),
        (Problem(1, members=4, dimension=24, trials=20, differentiable=True), "grow"),
        (Problem(1, members=8, dimension=8, trials=5, differentiable=True), "gp"),
        (Problem(1, members=8, dimension=240, trials=100, differentiable=True), "grow"),
        (Problem(1, members=8, dimension=240, trials=100), "cmaes"),
        (Problem(1, members=4, dimension=24, trials=1000), "cmaes"),
        (Problem(4, members=4, dimension=4, trials=50), "gp"),
        (Problem(4, members=4, dimension=4, trials=50, differentiable=True), "map"),
        (Problem(2, members=4, dimension=24, trials=1000, differentiable=True), "nsga2"),
        (Problem(2, members=4, dimension=240, trials=100), "nsga2"),
        (Problem(1, members=20, dimension=19, trials=100, snapshots=True), "lcsc"),
        (Problem(2, members=20, dimension=19, trials=100, snapshots=True), "gp"),
        (Problem(1, members=2, dimension=0, trials=10), "random"),
    ],
)
def test_rules(problem: Problem, searcher: str) -> None:
    assert recommend(problem).searcher == searcher


def test_the_reason_has_the_numbers() -> None:
    reason = recommend(Problem(1, members=4, dimension=24, trials=49)).reason
    assert reason.endswith("(1 objective, 24 dimensions, 49 trials after the baselines, no gradients)")
