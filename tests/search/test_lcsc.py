"""LCSC: what a child is, where the search starts, and where it gets to on trajectories whose best is known."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest

from mergesearch.errors import InputError
from mergesearch.search.history import FloatArray, History
from mergesearch.search.lcsc import Lcsc
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.ema import ema_rates, ema_row
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from _toys import evolve, extrapolation, noisy_descent

WIDE = Affine(40, -10.0, 10.0)


def archive(space: Space, x: FloatArray, losses: Sequence[float] | FloatArray, number: int | None = None) -> History:
    """A history of these vectors."""
    column = np.reshape(np.asarray(losses, dtype=np.float64), (-1, 1))
    number = len(x) if number is None else number
    return History(space, number, x, column, np.zeros_like(column), np.empty((len(x), 0)), np.empty((0, x.shape[1])))


def proposals(searcher: Lcsc, space: Space, trials: int) -> list[FloatArray]:
    """Coefficients of the first trials on a flat objective."""
    return list(evolve(searcher, space, lambda row: 0.0, trials)[0])


def test_ten_thousand_children_sum_to_one() -> None:
    """Without any division, and with coefficients far out that are not clipped."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 2.5, (100, 39)).clip(-9, 9)
    searcher = Lcsc(1, sigma=0.1, parents=100)
    history = [archive(WIDE, x, np.arange(100.0), number) for number in range(100, 10_100)]
    children = np.array([searcher.ask(one) for one in history], dtype=np.float64)
    rows = np.array([WIDE.row(child) for child in children])
    assert np.abs(rows.sum(axis=1) - 1).max() <= 1e-6
    assert rows.min() < -5 and rows.max() > 5
    copied = np.isin(children, x).mean(axis=1)
    assert (copied < 1).all(), "every child is mutated"
    assert 0.7 < copied.mean() < 0.8, "a quarter of the coefficients is"
    parents = np.array([len(np.unique(np.nonzero(x == child)[0])) for child in children])
    assert 0.25 < (parents == 2).mean() < 0.35 and parents.max() == 2, "three in ten have two parents"


def test_mutation_has_its_step_and_is_never_left_out() -> None:
    x = np.zeros((1, 39))
    history = [archive(WIDE, x, [0.0], number) for number in range(400)]
    changes = np.array([Lcsc(0, population=1, mutation=0.0, sigma=0.2).ask(one) for one in history], dtype=np.float64)
    assert (np.count_nonzero(changes, axis=1) == 1).all()
    assert changes.sum(axis=1).std() == pytest.approx(0.2, rel=0.15)


def test_parents_come_from_the_best_of_the_whole_archive() -> None:
    """Nothing is evicted: the best may be as old as it likes; and no other has children."""
    x = np.repeat(np.arange(60.0)[:, None] / 10, 39, axis=1)
    losses = np.append(np.arange(15.0), np.full(45, 99.0))  # the oldest are the best
    searcher = Lcsc(0, crossover=0.0, sigma=1e-6)
    history = [archive(WIDE, x, losses, number) for number in range(60, 560)]
    parents = {int(np.round(np.median(np.asarray(searcher.ask(one))) * 10)) for one in history}
    assert parents == set(range(15))


def test_floors_rank_before_losses() -> None:
    x = np.array([np.zeros(39), np.ones(39)])
    history = archive(WIDE, x, [0.0, 1.0], 20)
    kept = History(WIDE, 20, x, history.losses, history.errors, np.array([[0.5], [-0.5]]), history.unscored)
    child = Lcsc(0, population=1, parents=1).ask(kept)
    assert child is not None
    np.testing.assert_allclose(child, 1.0, atol=0.1)


def test_it_starts_with_exact_emas_and_the_last_snapshots() -> None:
    steps = [*range(1000, 21_000, 1000), *range(25_000, 121_000, 5000)]  # uneven
    rows = proposals(Lcsc(0, steps=steps), WIDE, 10)
    wanted = [ema_row(steps, rate) for rate in reversed(ema_rates(steps))]
    assert len(wanted) == 5
    np.testing.assert_allclose(rows[:5], wanted, rtol=0, atol=1e-12)
    np.testing.assert_allclose(rows[5:], np.eye(40)[:34:-1], rtol=0, atol=1e-12)


def test_without_steps_snapshots_are_evenly_spaced() -> None:
    np.testing.assert_allclose(proposals(Lcsc(0), WIDE, 1)[0], ema_row(range(40), ema_rates(range(40))[-1]))


def test_what_is_there_counts_as_the_first_population() -> None:
    """A run's baselines are not evaluated once more, nor are others in their place."""
    x = np.random.default_rng(0).normal(size=(10, 39))
    child = Lcsc(0, crossover=0.0).ask(archive(WIDE, x, range(10)))
    assert child is not None
    assert min(np.count_nonzero(child != parent) for parent in x) < 39
    assert Lcsc(0).ask(archive(WIDE, x[:9], range(9))) is not None
    seed = Lcsc(0).ask(archive(WIDE, x[:9], range(9)))
    np.testing.assert_allclose(WIDE.row(np.asarray(seed)), ema_row(range(40), ema_rates(range(40))[-1]), atol=1e-12)


def test_generation_zero_is_as_good_as_its_best_ema() -> None:
    for seed in range(3):
        problem = noisy_descent(seed)
        rows, losses = evolve(Lcsc(seed), WIDE, problem.loss, 10)
        assert losses.min() <= min(problem.loss(ema_row(range(40), rate)) for rate in ema_rates(range(40)))
        assert len(np.unique(rows, axis=0)) == 10


def test_it_leaves_the_hull() -> None:
    problem = extrapolation(0)
    rows, losses = evolve(Lcsc(0), WIDE, problem.loss, 500)
    assert losses.min() <= 0.02 and rows[losses.argmin()].min() < -0.05
    assert problem.convex_optimum() >= 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_extrapolation_needs_negative_coefficients(seed: int) -> None:
    """The best EMA and the best non-negative coefficients that exist stay above 0.2."""
    problem = extrapolation(seed)
    rows, losses = evolve(Lcsc(seed), WIDE, problem.loss, 2000)
    assert losses.min() <= 0.01 and rows[losses.argmin()].min() < -0.05
    best = np.minimum.accumulate(losses)
    assert (np.diff(best) <= 0).all() and best[-1] == losses.min()
    assert problem.convex_optimum() >= 0.2
    assert min(problem.loss(ema_row(range(40), rate)) for rate in ema_rates(range(40))) >= 0.2
    assert evolve(Lcsc(seed), Simplex(40), problem.loss, 2000)[1].min() >= 0.2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_inside_the_hull_it_comes_near_the_optimum(seed: int) -> None:
    problem = noisy_descent(seed)
    _, losses = evolve(Lcsc(seed), WIDE, problem.loss, 2000)
    assert losses.min() <= 1.1 * problem.convex_optimum()
    assert losses.min() <= 0.96 * min(problem.loss(ema_row(range(40), rate)) for rate in ema_rates(range(40)))


def test_two_seeds_need_not_agree() -> None:
    problem = extrapolation(0)
    first, second = (evolve(Lcsc(seed), WIDE, problem.loss, 300) for seed in (0, 1))
    assert not np.allclose(first[0][first[1].argmin()], second[0][second[1].argmin()], atol=0.01)


def test_plain_study() -> None:
    """Each parameter is one snapshot's coefficient; the space is their box."""
    study = optuna.create_study(sampler=Lcsc(seed=0, sigma=0.05))
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study.optimize(
        lambda trial: sum((trial.suggest_float(f"step {n}", -1.0, 2.0) - 0.2 * n) ** 2 for n in range(4)), n_trials=120
    )
    rows = [list(trial.params.values()) for trial in study.trials]
    np.testing.assert_allclose(rows[1], ema_row(range(4), 0.5), atol=1e-12)
    assert study.best_value < 0.02


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"population": 0}, "population is 0 and parents 15; give at least 1"),
        ({"parents": 0}, "population is 10 and parents 0"),
        ({"crossover": 1.5}, "crossover is 1.5, mutation 0.25 and sigma 0.01; give chances from 0 to 1"),
        ({"mutation": -0.1}, "mutation -0.1"),
        ({"sigma": 0.0}, "sigma 0.0.*a positive step"),
    ],
)
def test_numbers_out_of_range(options: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Lcsc(**options)  # type: ignore[arg-type]


def test_steps_must_fit_the_members() -> None:
    with pytest.raises(InputError, match="3 steps given for 40 members; give one for each, oldest first"):
        proposals(Lcsc(0, steps=[1, 2, 3]), WIDE, 1)
