"""Ratios around a fixed mean: projection, bounds, endpoints, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from mergesearch.errors import InputError
from mergesearch.spaces.build import build_space
from mergesearch.spaces.groups import Groups
from mergesearch.spaces.mean import MeanConstrained
from mergesearch.spaces.ratios import mean_directions, onto_mean, reach
from mergesearch.spaces.table import CoefficientTable, FloatArray

SIZES = st.integers(1, 30)


@st.composite
def problems(draw: Any) -> tuple[FloatArray, float, FloatArray]:
    """Any numbers, a mean in [0, 1], and weights over six orders of magnitude."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(SIZES)
    weights = 10.0 ** generator.uniform(-draw(st.sampled_from([0, 1, 6])), 0, size)
    return generator.normal(0.5, draw(st.sampled_from([0.1, 1.0, 20.0])), size), draw(st.floats(0.0, 1.0)), weights


@given(problems())
@settings(deadline=None)
def test_projection_is_feasible_and_nearest(problem: tuple[FloatArray, float, FloatArray]) -> None:
    """Within [0, 1], of the given mean, and no feasible point on the way to another one is nearer."""
    ratios, mean, weights = problem
    found = onto_mean(ratios, mean, weights)
    assert found.min() >= 0.0 and found.max() <= 1.0
    assert weights @ found / weights.sum() == pytest.approx(mean, abs=1e-11)
    others = onto_mean(np.random.default_rng(0).normal(0.5, 1.0, len(ratios)), mean, weights)
    # The angle between the way to the projection and the way on to another feasible point is obtuse.
    assert (ratios - found) @ (others - found) <= 1e-7 * (1.0 + np.abs(ratios).max())
    np.testing.assert_allclose(onto_mean(found, mean, weights), found, rtol=0, atol=1e-10)


@given(problems())
@settings(deadline=None, max_examples=30)
def test_reach_is_what_linear_programming_finds(problem: tuple[FloatArray, float, FloatArray]) -> None:
    direction, mean, weights = problem
    weights = np.maximum(weights, 1e-3)
    for low, high in ((mean, mean), (0.3 * mean, mean)):
        gain = direction - direction.sum() * weights / weights.sum()
        sides = np.stack([weights, -weights]) / weights.sum()
        best = float(-gain @ linprog(-gain, sides, [high, -low], bounds=(0.0, 1.0)).x)
        assert reach(direction, weights, (low, high)) == pytest.approx(-best, abs=1e-6 * (1 + np.abs(gain).max()))


@pytest.mark.parametrize("weights", [np.ones(1), np.ones(7), np.array([1.0, 1e-4, 3.0])])
def test_directions_are_orthonormal_and_leave_the_mean(weights: FloatArray) -> None:
    basis = mean_directions(weights)
    assert basis.shape == (len(weights), len(weights) - 1)
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(weights) - 1), atol=1e-14)
    np.testing.assert_allclose(weights @ basis, 0.0, atol=1e-14)


@pytest.mark.parametrize("weights", [None, np.array([3.0, 1.0, 1.0, 7.0])])
def test_zeros_are_plain_averaging_bit_for_bit(weights: FloatArray | None) -> None:
    space = MeanConstrained(1, 4, 0.8, weights)
    assert np.array_equal(space.table(np.zeros(3)).members, np.full((4, 1), 0.8))
    x = space.vector(CoefficientTable.tied(np.array([0.8]), 4))
    assert x is not None and np.array_equal(x, np.zeros(3))


def test_three_blocks_span_the_published_polytopes() -> None:
    """Pre shares of mean 0.2 are the triangle of (0.6, 0, 0), of 0.4 the hexagon of (1, 0.2, 0), all of it reached."""
    for share, corner in ((0.2, [0.6, 0.0, 0.0]), (0.4, [1.0, 0.2, 0.0]), (0.6, [1.0, 0.8, 0.0])):
        space = MeanConstrained(1, 3, 1.0 - share)
        for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0], [0, 2, 1]):
            wanted = CoefficientTable.of(1.0 - np.array(corner)[order][:, None])
            x = space.vector(wanted)
            assert x is not None and space.contains(x)
            np.testing.assert_allclose(space.table(x).members, wanted.members, atol=1e-12)


def test_a_searched_mean_reaches_base_and_member() -> None:
    space = MeanConstrained(1, 5)
    for value in (0.0, 1.0):
        x = space.vector(CoefficientTable.tied(np.array([value]), 5))
        assert x is not None and np.array_equal(space.table(x).members, np.full((5, 1), value))


def test_held_groups_stay_where_they_are() -> None:
    held = {0: "base", 3: "member", 4: "mean"}
    space = MeanConstrained(["chat"], ["embedding", "a", "b", "norm", "head"], 0.6, held=held)
    assert space.names == ["b: chat"]
    for end in (0.0, 0.3, 1.0):
        x = np.asarray((1.0 - end) * space.bounds[:, 0] + end * space.bounds[:, 1])
        members = space.table(x).members[:, 0]
        assert members[[0, 3, 4]].tolist() == [0.0, 1.0, 0.6]
        assert members[1:3].mean() == pytest.approx(0.6, abs=1e-14)
    assert space.vector(CoefficientTable.tied(np.array([0.6]), 5)) is None  # not where the others are held


def test_several_members_leave_the_base_its_share() -> None:
    """Each of two members has half of what one would have, so the base's share is in [0, 1] as well."""
    space = MeanConstrained(2, 4, 0.7)
    generator = np.random.default_rng(1)
    for _ in range(50):
        rows = space.table(np.asarray(generator.uniform(space.bounds[:, 0], space.bounds[:, 1]))).members
        assert rows.min() >= 0.0 and rows.sum(axis=1).max() <= 1.0 + 1e-12
        np.testing.assert_allclose(rows.mean(axis=0), 0.35, atol=1e-12)


GROUPS = Groups(("block 0", "held at the mean", "block 1"), np.array([0.0, 0.5, 1.0]), {}, np.array([3.0, 9.0, 1.0]))


def test_the_mean_may_count_parameters() -> None:
    """A mean by parameters weighs the searched groups by their sizes."""
    space = build_space({"kind": "mean", "mean": 0.5, "mean_by": "parameters"}, GROUPS, 1)
    rows = space.table(space.bounds[:, 1]).members[:, 0]
    assert rows[1] == 0.5
    assert 3.0 * rows[0] + rows[2] == pytest.approx(4.0 * 0.5)
    assert rows[2] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mean": 1.2}, "the mean is 1.2; give the members' mean share as a number between 0 and 1, or [low, high]"),
        ({"mean": [0.6, 0.4]}, "the mean is [0.6, 0.4]"),
        ({"mean": [0.1, 0.2, 0.3]}, "the mean is [0.1, 0.2, 0.3]"),
        ({"mean": 1.0}, "a mean of 1 is the member itself, with nothing to search"),
        ({"mean": 0.0}, "a mean of 0 is the base itself"),
        ({"mean_by": "layers"}, "no mean is taken by 'layers'; did you mean 'parameters'?"),
        ({"step": 0.1}, "space of kind mean takes no 'step'"),
        ({"kind": "box"}, "groups such as 'held at the mean' are not searched; take kind mean with them"),
    ],
)
def test_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        build_space({"kind": "mean", **options}, GROUPS, 1)
    assert text in str(error.value)


def test_weights_and_held_groups_that_leave_nothing() -> None:
    with pytest.raises(
        InputError, match=r"weights of the mean are \[1\. 0\.\]; give one positive number for each of 2"
    ):
        MeanConstrained(1, 2, 0.5, np.array([1.0, 0.0]))
    with pytest.raises(InputError, match="every group is held where it is, which leaves nothing to search"):
        MeanConstrained(1, 1, 0.5, held={0: "mean"})
