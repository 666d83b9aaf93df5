"""What single searchers promise beyond the laws that all keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest

from mergesearch.errors import InputError
from mergesearch.search.cmaes import Cmaes
from mergesearch.search.grid import Grid
from mergesearch.search.history import FloatArray, History
from mergesearch.search.nsga2 import Nsga2
from mergesearch.search.nsga3 import Nsga3
from mergesearch.search.searcher import Searcher, generator
from mergesearch.search.sobol import Sobol
from mergesearch.search.uniform import Uniform
from mergesearch.spaces.box import Box
from mergesearch.spaces.space import Space


def history_at(space: Space, x: FloatArray, losses: FloatArray, violations: FloatArray | None = None) -> History:
    losses = losses.reshape(-1, 1)
    floors = np.empty((len(x), 0)) if violations is None else violations.reshape(-1, 1)
    return History(space, len(x), x, losses, 0 * losses, floors)


def nothing(space: Space) -> History:
    return history_at(space, np.empty((0, space.dimension)), np.empty(0))


def test_grid_is_lexicographic_and_complete() -> None:
    searcher, history = Grid(points=3), nothing(Box(2, 0.0, 1.0))
    while (x := searcher.ask(history)) is not None:
        rows = np.vstack([history.x, x])
        history = history_at(history.space, rows, np.zeros(len(rows)))
    assert history.x.tolist() == [[i / 2, j / 2] for i in range(3) for j in range(3)]


def test_grid_refuses_what_it_cannot_finish() -> None:
    with pytest.raises(
        InputError, match=r"5 points in each of 8 dimensions has 390625 points, more than.*10000; lower"
    ):
        Grid().ask(nothing(Box(8)))
    with pytest.raises(InputError, match="points is 1; give at least 2"):
        Grid(points=1)


def test_sobol_is_one_sequence() -> None:
    """64 proposals are 64 consecutive points of one scrambled sequence: 8 in every eighth of each coordinate."""
    space = Box(2, -1.0, 1.0)
    points = np.stack([Sobol(seed=4).ask(replace(nothing(space), number=n)) for n in range(64)])  # type: ignore[misc]
    for coordinate in points.T:
        assert np.histogram(coordinate, bins=8, range=(-1, 1))[0].tolist() == [8] * 8


def test_uniform_is_tried_once() -> None:
    space = Box(4)
    x = Uniform().ask(nothing(space))
    assert x is not None
    assert x.tolist() == [0.25] * 4
    assert Uniform().ask(history_at(space, x[np.newaxis], np.zeros(1))) is None


def spread(history: History, proposals: int = 200) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of many proposals from one history."""
    drawn = [Cmaes(seed=0).ask(replace(history, number=1000 + n)) for n in range(proposals)]
    points = np.stack([x for x in drawn if x is not None])
    return points.mean(axis=0), points.std(axis=0)


def test_cmaes_starts_in_the_middle_without_baselines() -> None:
    mean, deviation = spread(nothing(Box(2, 0.0, 3.0)))
    np.testing.assert_allclose(mean, 1.5, atol=0.15)
    np.testing.assert_allclose(deviation, 0.5, atol=0.1)


def test_cmaes_starts_at_the_best_feasible_baseline() -> None:
    baselines = np.array([[0.0, 0.0], [0.5, 0.5], [0.3, 0.3]])
    history = history_at(Box(2, -3.0, 3.0), baselines, np.array([2.0, 0.1, 0.5]), np.array([0.0, 0.4, -0.1]))
    history = replace(history, baselines=3)
    np.testing.assert_allclose(spread(history)[0], 0.3, atol=0.25)


def test_cmaes_moves_once_a_generation_is_complete() -> None:
    space = Box(2, 0.0, 1.0)
    x = 0.5 + 0.1 * np.array([[1, 0.3], [0.9, 0.4], [1.1, 0.2], [-1, -0.1], [-0.9, 0.1], [-1.1, 0.2]])
    losses = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0])
    before, after = spread(history_at(space, x[:5], losses[:5])), spread(history_at(space, x, losses))
    np.testing.assert_allclose(before[0], 0.5, atol=0.05)
    assert after[0][0] > 0.57


def test_generator_depends_on_all_its_numbers() -> None:
    draws = {generator(*numbers).random() for numbers in ((0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 1, 1))}
    assert len(draws) == 5
    assert generator(3, 4).random() == generator(3, 4).random()


@pytest.mark.parametrize("options", [{"population": 3}, {"sigma": 0.0}, {"sigma": float("nan")}])
def test_cmaes_refuses_what_cannot_work(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give at least 4, and more than 0"):
        Cmaes(**options)


def test_cmaes_works_with_the_smallest_population() -> None:
    history = history_at(Box(2), np.full((6, 2), 0.4) + 0.01 * np.arange(12).reshape(6, 2), np.arange(6.0))
    x = Cmaes(population=4).ask(history)
    assert x is not None
    assert history.space.contains(x)


class Corner(Searcher):
    """A searcher as a user writes it: one method."""

    def propose(self, history: History, rng: np.random.Generator) -> FloatArray | None:
        return history.space.bounds[:, 1] if len(history) < 3 else None


def test_a_searcher_is_one_method() -> None:
    """It runs in a plain study, gets parameters by their names' order, and stops the study when it is done."""
    study = optuna.create_study(sampler=Corner())
    study.optimize(lambda trial: trial.suggest_float("b", 0, 2) + trial.suggest_int("a", 0, 7), n_trials=10)
    assert [trial.params for trial in study.trials[1:3]] == [{"b": 2.0, "a": 7}] * 2
    assert len(study.trials) == 4
    assert study.trials[-1].params == study.best_trial.params


@pytest.mark.parametrize("x", [[0.5], [0.5, 2.0], [0.5, np.nan], [[0.5, 0.5]]])
def test_a_wrong_proposal_is_named(x: list[float]) -> None:
    class Wrong(Searcher):
        def propose(self, history: History, rng: np.random.Generator) -> FloatArray:
            return np.array(x)

    with pytest.raises(InputError, match=r"Wrong proposed \[.*\], not 2 numbers within the bounds; correct it"):
        Wrong().ask(nothing(Box(2)))


def test_a_finished_searcher_gives_the_best_outside_of_optimize() -> None:
    """With ask and tell there is nothing to stop."""
    study = optuna.create_study(sampler=Corner())
    for loss in (3.0, 1.0, 2.0, 5.0):
        trial = study.ask({"x": optuna.distributions.FloatDistribution(0.0, 1.0)})
        study.tell(trial, loss)
    assert study.trials[3].params == study.trials[1].params


@pytest.mark.parametrize("searcher", [Nsga2, Nsga3])
def test_genetic_searchers_stay_within_hundreds_of_bounds(searcher: type[Searcher]) -> None:
    """Children are drawn within the bounds; drawing until all coordinates are would take for ever."""
    space = Box(256, 0.0, 1.0)
    x = generator(0, 0).random((14, 256)).round()  # on the bounds
    child = searcher(seed=1).ask(history_at(space, x, x.mean(axis=1)))
    assert child is not None and space.contains(child)
