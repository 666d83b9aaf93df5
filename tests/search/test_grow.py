"""Growing spaces: the first stage is tied, patterns are added where they pay, and noise ends it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.search.grow import Grow
from mergesearch.search.history import FloatArray, Guides, History
from mergesearch.spaces.box import Box
from mergesearch.spaces.knots import DepthKnots
from mergesearch.spaces.per import Per
from mergesearch.spaces.quantised import Quantised
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

UNITS, MEMBERS = 8, 2
DEPTH = np.linspace(0.0, 1.0, UNITS)[:, None]
TIED = np.tile([0.3, 0.6], (UNITS, 1))
HALVES = np.where(DEPTH < 0.5, [0.2, 0.7], [0.6, 0.7])
CURVE = np.hstack([0.2 + 0.6 * DEPTH, np.full((UNITS, 1), 0.5)])
FINE = np.random.default_rng(1).uniform(0.2, 0.8, (UNITS, MEMBERS))
SPACE = Per(Box(MEMBERS, 0.0, 1.0), UNITS)
SCALES = np.linspace(0.5, 2.0, UNITS)[:, None]  # units matter unequally

Loss = Callable[[FloatArray], tuple[FloatArray, FloatArray]]


def bowl(target: FloatArray, scales: FloatArray = SCALES) -> Loss:
    """One quadratic loss with its least value at a table, and its slopes."""

    def loss(table: FloatArray) -> tuple[FloatArray, FloatArray]:
        apart = table - target
        return np.array([0.5 * (scales * apart**2).sum()]), (scales * apart)[None]

    return loss


def search(
    loss: Loss, trials: int, error: float = 0.0, gradients: bool = True, space: Space = SPACE, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Tables and mean losses of a search that begins at the base, the members and their uniform soup."""
    searcher = Grow(seed=seed)
    points = [space.vector(table) for table in list(space.canonical_points().values())[: MEMBERS + 2]]
    found = [x for x in points if x is not None]
    baselines = len(found)
    while True:
        tables = np.array([space.table(x).members for x in found])
        values, slopes = (np.array(part) for part in zip(*map(loss, tables), strict=True))
        means = values.mean(axis=1)
        history = History(
            space=space, number=len(found), x=np.array(found), losses=values, errors=np.full_like(values, error),
            violations=np.empty((len(found), 0)), guides=Guides(values, slopes) if gradients else None,
            baselines=baselines,
        )  # fmt: skip
        x = searcher.ask(history) if len(found) < trials else None
        if x is None:
            return tables, means
        found.append(x)


def ties(tables: FloatArray) -> list[int]:
    """Number of runs of equal rows in each table."""
    return [1 + int((np.abs(np.diff(table, axis=0)).max(axis=1) > 1e-6).sum()) for table in tables]


def test_it_begins_with_one_coefficient_per_member_and_stays_where_more_gains_nothing() -> None:
    tables, means = search(bowl(TIED), 60)
    assert set(ties(tables)) == {1}
    assert len(means) < 15
    assert means.min() < 1e-4 * means[0]


def test_it_cuts_where_the_slopes_say_so_and_ends() -> None:
    tables, means = search(bowl(HALVES), 60)
    runs = ties(tables)
    assert set(runs) == {1, 2}
    assert runs == sorted(runs)
    assert len(means) < 20
    assert np.abs(tables[int(np.argmin(means))] - HALVES).max() < 0.02


def test_each_stage_begins_near_the_best_of_the_last_and_ends_below_it() -> None:
    tables, means = search(bowl(FINE), 80)
    runs = np.maximum.accumulate(ties(tables))
    starts = [int(np.argmax(runs == run)) for run in dict.fromkeys(runs.tolist())]
    assert len(starts) > 2
    for start in starts[1:]:
        best = int(np.argmin(means[:start]))
        assert np.abs(tables[start] - tables[best]).max() <= 0.4 + 1e-9  # a radius that grew once
        assert means[start:].min() < means[best]
    assert means.min() < 0.03 * means[0]


def test_a_smooth_change_over_depth_is_one_pattern() -> None:
    """A line over depth is what the first finer stage adds, where it gains more than any cut."""
    tables, means = search(bowl(CURVE, np.ones((UNITS, 1))), 60)
    runs = ties(tables)
    assert set(runs) == {1, UNITS}
    for table in tables[runs.index(UNITS) :]:
        steps = np.diff(table, axis=0)
        assert steps == pytest.approx(np.tile(steps[0], (UNITS - 1, 1)), abs=1e-9)
    assert len(means) < 20
    assert means.min() < 1e-3 * means[: runs.index(UNITS)].min()


def test_noise_ends_it_before_the_stage_that_would_gain_less() -> None:
    _, exact = search(bowl(HALVES), 60)
    tied, _ = search(bowl(HALVES), 60, error=1000.0 * exact[0])
    assert set(ties(tied)) == {1}


def test_objectives_count_by_how_much_they_follow_their_losses() -> None:
    """Of two losses in conflict, the one whose objective is flat is given up."""

    def conflict(table: FloatArray) -> tuple[FloatArray, FloatArray]:
        (one,), (slope,) = bowl(TIED)(table)
        (two,), (other,) = bowl(1.0 - TIED)(table)
        return np.array([one, two]), np.stack([slope, other])

    searcher, space = Grow(), SPACE
    found = [x for x in (space.vector(t) for t in space.canonical_points().values()) if x is not None]
    baselines = len(found)
    for _ in range(12):
        losses, slopes = (
            np.array(part) for part in zip(*(conflict(space.table(x).members) for x in found), strict=True)
        )
        objectives = losses * [1.0, 0.1]
        empty = np.empty((len(found), 0))
        guides = Guides(losses, slopes)
        history = History(
            space, len(found), np.array(found), objectives, np.zeros_like(losses), empty, guides=guides,
            baselines=baselines,
        )  # fmt: skip
        x = searcher.ask(history)
        if x is None:
            break
        found.append(x)
    means = [(conflict(space.table(x).members)[0] @ [1.0, 0.1], x) for x in found]
    best = space.table(min(means, key=lambda pair: float(pair[0]))[1]).members
    wanted = (TIED + 0.1 * (1.0 - TIED)) / 1.1
    assert np.abs(best - wanted).max() < 0.02


@pytest.mark.parametrize(
    "space",
    [
        Per(Scaled(Simplex(MEMBERS), 0.0, 1.5), UNITS),
        DepthKnots(Box(MEMBERS, 0.0, 1.0), DEPTH[:, 0], 4),
        Quantised(SPACE, 0.01),
        Box(MEMBERS, 0.0, 1.0),
    ],
    ids=["shells", "knots", "grid", "one row"],
)
def test_any_space_that_can_be_tied(space: Space) -> None:
    """Slopes reach every coordinate by the chain rule: the loss falls to that of the nearest table."""
    target = np.tile([0.35, 0.6], (space.groups, 1))

    def loss(table: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.array([((table - target) ** 2).sum()]), 2 * (table - target)[None]

    assert search(loss, 40, space=space)[1].min() < 1e-3


def test_without_gradients_blocks_are_halved_and_the_loss_falls() -> None:
    tables, means = search(bowl(HALVES), 70, gradients=False)
    runs = ties(tables)
    first = next(number for number, run in enumerate(runs) if run > 1)
    assert max(runs[: first + 5]) == 2
    assert means[first:].min() < 0.5 * means[:first].min()


def test_what_failed_is_not_asked_for_again() -> None:
    values, slopes = bowl(FINE)(TIED)
    x = SPACE.vector(SPACE.canonical_points()["uniform soup"])
    assert x is not None
    guides = Guides(values[None], slopes[None])
    known = {"x": x[None], "losses": values[None], "errors": np.zeros((1, 1)), "violations": np.empty((1, 0))}
    failed = np.empty((0, SPACE.dimension))
    for _ in range(4):
        history = History(SPACE, 1 + len(failed), **known, unscored=failed, guides=guides, baselines=1)
        proposed = Grow().ask(history)
        assert proposed is not None
        assert not history.tried(proposed)
        failed = np.vstack([failed, proposed])
    steps = np.linalg.norm(failed - x, axis=1)
    assert steps[1:] == pytest.approx(0.5 * steps[:-1])


def test_a_floor_is_kept() -> None:
    """A step across a floor is not taken; shorter ones lead up to it."""
    searcher, found = Grow(), [np.full(SPACE.dimension, 0.5)]
    for _ in range(25):
        tables = np.array([SPACE.table(x).members for x in found])
        values, slopes = (np.array(part) for part in zip(*map(bowl(TIED), tables), strict=True))
        missed = (tables[:, :, 1].mean(axis=1) - 0.55)[:, None]  # the target's 0.6 misses it
        history = History(
            SPACE, len(found), np.array(found), values, np.zeros_like(values), missed, guides=Guides(values, slopes),
            baselines=1,
        )  # fmt: skip
        x = searcher.ask(history)
        if x is None:
            break
        found.append(x)
    assert any(history.violations[:, 0] > 0)
    kept = history.losses[history.feasible, 0]
    assert kept.min() < 0.6 * kept[0]


@pytest.mark.parametrize("options", [{"margin": -1.0}, {"gradients": "some"}])
def test_bad_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match="give zero or more standard errors, and one of used"):
        Grow(**options)  # type: ignore[arg-type]
