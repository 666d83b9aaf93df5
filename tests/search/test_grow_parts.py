"""The parts of a growing search: patterns over depth, the local model, links, and coordinates."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.search._grow.columns import Columns
from mergesearch.search._grow.coordinates import Coordinates
from mergesearch.search._grow.links import link_slopes
from mergesearch.search._grow.model import LocalModel, combined
from mergesearch.search.history import FloatArray
from mergesearch.spaces.box import Box
from mergesearch.spaces.knots import DepthKnots
from mergesearch.spaces.per import Per, Tied
from mergesearch.spaces.quantised import Quantised
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

SEEDS = st.integers(0, 10_000)
UNITS, WIDTH = 5, 2
SIZE = UNITS * WIDTH


def curvature(rng: np.random.Generator) -> FloatArray:
    """A symmetric positive definite matrix, `SIZE x SIZE`."""
    root = rng.normal(size=(SIZE, SIZE))
    return np.asarray(root @ root.T + 0.1 * np.eye(SIZE))


def dense(model: LocalModel) -> FloatArray:
    """B as a matrix."""
    return np.stack([model.curved(one) for one in np.eye(SIZE)], axis=1)


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.integers(1, 12))
def test_the_model_keeps_the_last_secant_and_stays_positive_definite(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    wanted, model = curvature(rng), LocalModel.at(rng.normal(size=SIZE), 0.5)
    for _ in range(steps):
        step = rng.normal(size=SIZE)
        before = dense(model)
        model = model.learned(step, wanted @ step)
    matrix = dense(model)
    assert matrix == pytest.approx(matrix.T, abs=1e-8)
    assert np.linalg.eigvalsh(matrix).min() > 0
    if step @ wanted @ step >= 0.2 * step @ before @ step:  # else it is damped
        assert model.curved(step) == pytest.approx(wanted @ step, rel=1e-6, abs=1e-6)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_negative_curvature_is_damped(seed: int) -> None:
    rng = np.random.default_rng(seed)
    step = rng.normal(size=SIZE)
    model = LocalModel.at(rng.normal(size=SIZE), 1.0).learned(step, -3.0 * step)
    assert step @ model.curved(step) == pytest.approx(0.2 * step @ step)
    assert np.linalg.eigvalsh(dense(model)).min() > 0


@settings(deadline=None, max_examples=25)
@given(SEEDS, st.floats(0.01, 1.0))
def test_the_best_step_is_allowed_and_beats_any_other(seed: int, radius: float) -> None:
    rng = np.random.default_rng(seed)
    model = LocalModel.at(rng.normal(size=SIZE), 1.0)
    for _ in range(4):
        step = rng.normal(size=SIZE)
        model = model.learned(step, curvature(rng) @ step)
    point, columns = rng.uniform(0.3, 0.7, SIZE), Columns(UNITS, (0, 2)).matrix
    best = model.best_step(point, columns, min(radius, 0.25))  # no coordinate can leave 0 to 1
    assert np.abs(best).max() <= radius + 1e-12
    rows = best.reshape(UNITS, WIDTH)
    assert np.ptp(rows[:2], axis=0) == pytest.approx(0.0, abs=1e-12)
    assert np.ptp(rows[2:], axis=0) == pytest.approx(0.0, abs=1e-12)
    for amounts in rng.uniform(-min(radius, 0.25), min(radius, 0.25), (50, 2, WIDTH)):
        assert model.gain((columns @ amounts).ravel()) <= model.gain(best) + 1e-6 * abs(model.gain(best))


def test_coordinates_at_a_bound_stay_within_it() -> None:
    model = LocalModel.at(np.full(SIZE, -1.0), 0.1)
    point = np.linspace(0.5, 1.0, SIZE)
    reached = point + model.best_step(point, Columns(UNITS).matrix, 1.0)
    assert reached == pytest.approx(1.0)


@settings(deadline=None, max_examples=25)
@given(SEEDS)
def test_the_gain_of_a_pattern_is_that_of_its_best_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = LocalModel.at(0.01 * rng.normal(size=SIZE), 1.0)
    for _ in range(3):
        step = rng.normal(size=SIZE)
        model = model.learned(step, curvature(rng) @ step)
    pattern = rng.normal(size=UNITS)
    point = np.full(SIZE, 0.5)
    best = model.best_step(point, pattern[:, None], 0.5 / np.abs(pattern).max())
    assert model.column_gain(point, pattern) == pytest.approx(model.gain(best), rel=5e-3)


def test_a_pattern_that_only_leads_out_of_the_bounds_gains_nothing() -> None:
    model = LocalModel.at(np.ones(SIZE), 1.0)
    assert model.column_gain(np.zeros(SIZE), np.ones(UNITS)) == 0.0
    assert model.column_gain(np.ones(SIZE), np.ones(UNITS)) > 0.0


def test_a_sum_of_losses_has_the_sum_of_their_models() -> None:
    rng = np.random.default_rng(3)
    models = [LocalModel.at(rng.normal(size=SIZE), scale).learned(*rng.normal(size=(2, SIZE))) for scale in (0.5, 2.0)]
    weights, step = np.array([0.3, 1.7]), rng.normal(size=SIZE)
    both = combined(models, weights)
    assert both.gain(step) == pytest.approx(sum(w * m.gain(step) for w, m in zip(weights, models, strict=True)))


@settings(deadline=None, max_examples=30)
@given(SEEDS, st.integers(2, 9))
def test_patterns_grow_until_every_unit_is_free(seed: int, units: int) -> None:
    rng = np.random.default_rng(seed)
    columns = Columns(units)
    while finer := list(columns.finer()):
        block, chosen, pattern = finer[rng.integers(len(finer))]
        rank = np.linalg.matrix_rank(columns.matrix)
        grown = np.hstack([columns.matrix, pattern[:, None]])
        assert np.linalg.matrix_rank(np.hstack([grown, chosen.matrix])) == np.linalg.matrix_rank(grown)
        assert np.linalg.matrix_rank(chosen.matrix) >= rank
        assert pattern[: block[0]].any() == pattern[block[1] + 1 :].any() == False  # noqa: E712
        assert pattern.sum() == pytest.approx(0.0)
        columns = columns.joined(chosen)
    assert np.linalg.matrix_rank(columns.matrix) == units


def test_halving_doubles_the_blocks() -> None:
    columns = Columns(6).halved()
    assert columns.blocks == [(0, 2), (3, 5)]
    assert columns.halved().halved().blocks == [(unit, unit) for unit in range(6)]


def test_links_follow_the_trials_nearby() -> None:
    """An accuracy that rises fast where the loss is small, and hardly where it is large."""
    loss = np.geomspace(0.1, 2.0, 40)
    both = np.stack([loss, loss], axis=1)
    objectives = np.stack([1.0 - np.exp(-loss), 3.0 * loss], axis=1)
    links = np.array([link_slopes(both, objectives, row) for row in range(40)])
    assert links[:, 1] == pytest.approx(3.0)
    assert links[0, 0] > links[20, 0] > links[39, 0]
    assert links[0, 0] > np.exp(-0.5)
    assert links[39, 0] < np.exp(-1.0)


def test_a_link_that_noise_turns_round_counts_little() -> None:
    losses = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    assert link_slopes(losses, losses * [1.0, -1.0], 0) == pytest.approx([1.0, 0.02])
    assert link_slopes(losses, -losses, 0) == pytest.approx([1.0, 1.0])


SPACES = {
    "box": (Per(Box(WIDTH, -0.5, 1.5), UNITS), UNITS, WIDTH),
    "shells": (Per(Scaled(Simplex(3), 0.0, 1.5), UNITS), UNITS, 3),
    "tied": (Tied(Box(3), UNITS), 1, 3),
    "knots": (DepthKnots(Box(2), np.linspace(0, 1, UNITS), 3), 3, 2),
    "grid": (Quantised(Per(Box(2), UNITS), 0.01), UNITS, 2),
    "one row": (Box(4), 1, 4),
}


@pytest.mark.parametrize(("space", "units", "width"), SPACES.values(), ids=SPACES)
def test_slopes_follow_the_chain_rule(space: Space, units: int, width: int) -> None:
    """Against differences of a linear loss of the table, in which C's slopes are given."""
    coordinates = Coordinates(space)
    assert (coordinates.units, coordinates.width) == (units, width)
    rng = np.random.default_rng(2)
    given = rng.normal(size=(2, space.groups, space.members))
    u = rng.uniform(0.2, 0.8, space.dimension)
    found = coordinates.slopes(coordinates.x(u), given)
    smooth = space.space if isinstance(space, Quantised) else space
    for index, move in enumerate(1e-4 * np.eye(space.dimension)):
        above, below = (smooth.table(coordinates.x(u + sign * move)).members for sign in (1, -1))
        assert found[:, index] == pytest.approx(np.tensordot(given, above - below, axes=2) / 2e-4, rel=1e-4, abs=1e-6)
    assert coordinates.of(coordinates.x(u)) == pytest.approx(u)
