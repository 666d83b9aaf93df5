"""MAP: fronts that the surrogates predict, what is evaluated of them, and how far gradients carry."""

from __future__ import annotations

from dataclasses import replace

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import qmc

from mergesearch.errors import InputError
from mergesearch.search._map.frame import Frame
from mergesearch.search._map.front import stationary_points
from mergesearch.search._map.niches import reference_directions, survivors
from mergesearch.search._map.spread import spread
from mergesearch.search.history import FloatArray, History
from mergesearch.search.map import Map
from mergesearch.search.searcher import Searcher
from mergesearch.spaces.box import Box
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.knots import DepthKnots
from mergesearch.spaces.per import Per, Tied
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

from .map_truth import Truth, search, start


def concave(objectives: int, dimension: int) -> tuple[FloatArray, FloatArray]:
    """Slopes and curvatures of concave latent scores with peaks 0.9·eₙ + 0.05·noise, eigenvalues in [1, 5]."""
    truth = Truth(dimension, seed=objectives, objectives=objectives)
    return np.einsum("nij,nj->ni", truth.curvatures, truth.peaks), -truth.curvatures


@pytest.mark.parametrize("members", [2, 3, 4])
def test_warps_leave_the_front_as_it_is(members: int) -> None:
    """The non-dominated points are the same before and after the sigmoid."""
    z = Truth(members).latent(qmc.Sobol(members, rng=0).random(4096))
    assert np.array_equal(moocore.is_nondominated(-z), moocore.is_nondominated(-expit(z)))


@pytest.mark.parametrize("members", [2, 3])
def test_stationary_points_are_the_front_of_concave_scores(members: int) -> None:
    """No c(w) is dominated by any of 65,536 samples beyond 1e-9."""
    linear, curvature = concave(members, members)
    weights = np.random.default_rng(0).dirichlet(np.ones(members), 200)
    points = stationary_points(-linear, -curvature, weights)
    assert len(points) == 200
    sample = 3.0 * qmc.Sobol(members, rng=1).random(65_536) - 1.0

    def scores(c: FloatArray) -> FloatArray:
        return np.asarray(c @ linear.T + 0.5 * np.einsum("pi,nij,pj->pn", c, curvature, c))

    found, others = scores(points), scores(sample)
    assert not any(np.all(others >= one + 1e-9, axis=1).any() for one in found)


def test_weightings_without_a_minimum_have_no_stationary_point() -> None:
    assert len(stationary_points(np.ones((1, 2)), np.array([[[1.0, 0.0], [0.0, -1.0]]]), np.ones((1, 1)))) == 0


@pytest.mark.parametrize("members", [2, 3, 8])
@pytest.mark.parametrize("gradients", [False, True])
def test_front_stays_in_the_sampled_region(members: int, gradients: bool) -> None:
    """Not one predicted point lies outside; the same seed predicts the same front bit for bit."""
    truth, budget = Truth(members), members + 3 if gradients else (members + 1) * (members + 2)
    history = search(Map(seed=1), truth, budget, gradients)
    front = Map(seed=1).front(history)
    frame = Map(seed=1).frame(history)
    evaluated = {x.tobytes() for x in history.x}
    fresh = np.array([x for x in front.x if x.tobytes() not in evaluated])
    assert len(fresh)
    assert frame.inside(fresh).all()
    assert np.all((fresh >= 0) & (fresh.sum(axis=1, keepdims=True) <= 2.0 + 1e-9))
    assert np.array_equal(front.x, Map(seed=1).front(history).x)


def test_points_of_the_front_do_not_dominate_one_another() -> None:
    history = search(Map(seed=0), Truth(3), 20, gradients=False)
    front = Map(seed=0).front(history)
    assert moocore.is_nondominated(front.latent, keep_weakly=True).all()


def test_design_is_canonical_points_and_the_shell() -> None:
    """Canonical points come first where no baseline was them, and none is proposed twice."""
    history = search(Map(seed=0), Truth(3), 20, gradients=False, baselines=False)
    canonical = [soup(subset, 1, 3).members[0] for subset in ((), (0,), (1,), (2,), (0, 1, 2))]
    assert np.allclose(history.x[:5], canonical)
    assert np.allclose(history.x[5], 2.0 / 3.0)
    shell = history.x[6:].sum(axis=1)
    assert np.all((shell >= 0.2 - 1e-9) & (shell <= 2.0 + 1e-9))
    assert len(np.unique(history.x, axis=0)) == 20


def test_rounds_are_predicted_and_then_scored() -> None:
    """After the design come batches of the front; what was predicted of them stands beside what came out."""
    truth, searcher = Truth(3), Map(seed=2)
    history = search(searcher, truth, 30, gradients=False)
    found = searcher.forecasts(history)
    assert list(found) == list(range(20, 30))
    assert np.abs(np.array(list(found.values())) - history.losses[20:]).mean() < 0.1
    assert len(np.unique(history.x, axis=0)) == 30


def test_gradients_replace_evaluations() -> None:
    """With N + 3 evaluations and gradients the chosen merges are no worse than with (N + 1)(N + 2) without."""
    truth = Truth(4)
    few, many = (search(Map(seed=3), truth, trials, gradients) for trials, gradients in ((7, True), (30, False)))
    weights = np.random.default_rng(5).dirichlet(np.ones(4), 50)

    def regret(history: History) -> float:
        front = Map(seed=3).front(history)
        answers = truth.losses(front.x[(front.losses @ weights.T).argmin(axis=0)])
        reachable = truth.losses(Frame(Box(4), 9, (0.2, 2.0)).sample(20_000, 7))
        return float(((answers * weights).sum(axis=1) - (reachable @ weights.T).min(axis=0)).mean())

    assert regret(few) <= regret(many) + 0.005
    assert regret(few) < 0.03


def test_floors_are_kept_where_they_can_be() -> None:
    """A floor that half of the region misses: nearly all merges chosen from the fronts keep it."""
    history = search(Map(seed=0), Truth(3, floor=0.9), 40, gradients=False)
    assert (history.violations[20:] <= 0.02).mean() >= 0.8
    assert (history.violations[:20] <= 0.0).mean() < 0.8


SPACES: dict[str, Space] = {
    "simplex": Simplex(3),
    "shell": Scaled(Simplex(3), 0.0, 1.5),
    "tied": Tied(Box(3), 5),
    "per group": Per(Box(3), 4),
    "knots": DepthKnots(Box(2), np.linspace(0, 1, 6), 3),
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())
@pytest.mark.parametrize("gradients", [False, True])
def test_any_space(space: Space, gradients: bool) -> None:
    """Coordinates span the tables, and a few rounds improve on the design."""
    truth = Truth(space.members, objectives=2)
    searcher = Map(seed=0, design=16, batch=4)
    history = search(searcher, truth, 28, gradients, space=space)
    assert searcher.frame(history).dimension <= space.groups * space.members
    summed = history.losses.sum(axis=1)
    assert summed[16:].min() <= summed[:16].min()


@given(st.integers(0, 1000), st.integers(2, 4))
@settings(max_examples=20, deadline=None)
def test_slopes_follow_the_coordinates(seed: int, groups: int) -> None:
    """A linear function's slopes in the table give its differences in the coordinates."""
    rng = np.random.default_rng(seed)
    frame = Frame(DepthKnots(Box(2), np.linspace(0, 1, groups), 2), 0, None)
    slopes = rng.normal(size=(groups, 2))
    x = rng.uniform(0, 1.5, size=(2, frame.space.dimension))
    change = (frame.tables(x) @ slopes.ravel())[0] - (frame.tables(x) @ slopes.ravel())[1]
    z = frame.coordinates(x)
    assert frame.reduced(slopes) @ (z[0] - z[1]) == pytest.approx(change, abs=1e-9)


def test_spread_takes_the_ends_and_what_improves() -> None:
    front = np.stack([np.linspace(0, 1, 101), 1 - np.linspace(0, 1, 101)], axis=1)
    rows = spread(front, np.array([[1.0, 1.0]]), 5)
    assert len(set(rows.tolist())) == 5
    assert rows.min() <= 10 and rows.max() >= 90 and np.diff(np.sort(rows)).max() <= 50
    assert spread(front[:1], front[:1], 3).tolist() == [0]


@pytest.mark.parametrize(("objectives", "count"), [(1, 1), (2, 100), (3, 105), (8, 120)])
def test_reference_directions_are_a_lattice(objectives: int, count: int) -> None:
    directions = reference_directions(objectives)
    assert directions.shape == (count, objectives)
    assert np.allclose(directions.sum(axis=1), 1.0)
    assert len(np.unique(directions, axis=0)) == count


def test_survivors_fill_the_niches() -> None:
    """A crowd on one axis leaves room for the lone points elsewhere."""
    angles = np.concatenate([np.full(300, 0.01), np.linspace(0.1, 1.5, 40)])
    values = np.stack([1 - np.cos(angles), 1 - np.sin(angles)], axis=1)
    kept = survivors(values, reference_directions(2)[::5], np.random.default_rng(0))
    assert len(kept) == 20
    assert (kept >= 300).sum() >= 10


def test_empty_history_predicts_nothing() -> None:
    with pytest.raises(InputError, match="0 trials predict no front; finish at least 2"):
        Map().front(start(Truth(2), Box(2), np.empty((0, 2)), gradients=False))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"design": 1}, "design is 1 and batch None; give at least 2 trials, and 1"),
        ({"batch": 0}, "design is None and batch 0"),
        ({"surrogate": "forest"}, "surrogate is 'forest'; give quadratic or process"),
        ({"region": "ball"}, "region is 'ball'; give shell or space"),
        ({"scale": [1.3, 0.2]}, r"scale is \[1.3, 0.2\]; give \[lowest, highest\]"),
        ({"gradients": "maybe"}, "gradients is 'maybe'; give used or unused or needed"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        Map(**options)  # type: ignore[arg-type]


def test_failed_trials_are_passed_over() -> None:
    history = search(Map(seed=0), Truth(2), 12, gradients=False)
    searcher: Searcher = Map(seed=0)
    first = searcher.ask(history)
    assert first is not None
    second = searcher.ask(replace(history, number=13, unscored=first[None]))
    assert second is not None
    assert not np.array_equal(first, second)
