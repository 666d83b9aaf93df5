"""Spaces over many groups: repeated, tied, interpolated over depth, in steps, fixed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.box import Box
from mergesearch.spaces.fixed import Fixed
from mergesearch.spaces.knots import DepthKnots
from mergesearch.spaces.per import Per, Tied
from mergesearch.spaces.quantised import Quantised
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.subset import Subset
from mergesearch.spaces.table import CoefficientTable


def test_per_names_the_group_before_the_coordinate() -> None:
    space = Per(Box(["math", "code"]), ["input", "layer 0"])
    assert space.names == ["input: math", "input: code", "layer 0: math", "layer 0: code"]
    assert space.table(np.array([0.1, 0.2, 0.3, 0.4])).members.tolist() == [[0.1, 0.2], [0.3, 0.4]]


def test_tied_repeats_one_row() -> None:
    space = Tied(Box(2), 3)
    assert space.table(np.array([0.1, 0.2])).members.tolist() == [[0.1, 0.2]] * 3
    assert space.vector(CoefficientTable.of(np.array([[0.1, 0.2], [0.1, 0.2], [0.1, 0.3]]))) is None


def test_knots_interpolate_linearly() -> None:
    space = DepthKnots(Box(1, -1.0, 1.0), np.array([0.0, 0.25, 0.5, 1.0]), 2)
    assert space.names == ["knot 0: member 0", "knot 1: member 0"]
    np.testing.assert_allclose(space.table(np.array([0.0, 1.0])).members[:, 0], [0.0, 0.25, 0.5, 1.0])


def test_knots_stand_from_the_shallowest_group_to_the_deepest() -> None:
    """With blocks, no group is at depth 0 or 1; the anchors still reach their bounds."""
    table = DepthKnots(Box(1, -1.0, 1.0), np.array([0.2, 0.5, 0.8]), 2).table(np.array([-1.0, 1.0]))
    np.testing.assert_allclose(table.members[:, 0], [-1.0, 0.0, 1.0], atol=1e-12)


def test_knots_do_not_contain_what_they_cannot_reproduce() -> None:
    space = DepthKnots(Box(1), np.array([0.0, 0.5, 1.0]), 2)
    assert space.vector(CoefficientTable.of(np.array([[0.0], [1.0], [0.0]]))) is None


def test_knots_refuse_rows_without_a_middle() -> None:
    for space in (Subset(3), Scaled(Subset(3)), Scaled(Affine(3), -1.0, 1.0)):
        with pytest.raises(InputError, match=f"rows of {type(space).__name__} cannot be interpolated.*remove 'knots'"):
            DepthKnots(space, np.linspace(0, 1, 4), 2)


@pytest.mark.parametrize(
    ("depths", "knots", "most"), [([0.0, 0.5, 1.0], 4, 3), ([0.5, 0.5, 0.5], 2, 1), ([0.0, 0.1, 0.2, 1.0], 4, 3)]
)
def test_more_knots_than_depths(depths: list[float], knots: int, most: int) -> None:
    with pytest.raises(InputError, match=f"{knots} knots are more than.*give at most {most} knots"):
        DepthKnots(Box(2), np.array(depths), knots)


@pytest.mark.parametrize("knots", [0, -1, 2.5])
def test_knots_are_counted(knots: Any) -> None:
    with pytest.raises(InputError, match=f"knots is {knots}; give a whole number, at least 1"):
        DepthKnots(Box(2), np.linspace(0, 1, 3), knots)


def test_quantised_rounds_to_the_grid_within_the_bounds() -> None:
    space = Quantised(Box(2, -0.05, 0.97), 0.1)
    np.testing.assert_array_equal(space.bounds, [[0.0, 0.9], [0.0, 0.9]])
    assert space.table(np.array([0.57, 0.9])).members.tolist() == [[0.6, 0.9]]


def test_quantised_values_are_short_decimals() -> None:
    assert Quantised(Box(1), 0.01).table(np.array([0.5712])).members.tolist() == [[0.57]]
    assert Quantised(Box(1, 0.0, 0.3), 0.1).bounds.tolist() == [[0.0, 0.3]]


def test_quantised_does_not_contain_what_lies_between() -> None:
    """The uniform soup of three members is off the grid; it is then evaluated as the table that it is."""
    space = Quantised(Box(3), 0.01)
    assert space.vector(space.canonical_points()["uniform soup"]) is None
    assert space.vector(space.canonical_points()["task arithmetic 0.3"]) is not None


@pytest.mark.parametrize("step", [0.0, -0.1, np.nan])
def test_step_must_be_positive(step: float) -> None:
    with pytest.raises(InputError, match=f"step is {step}; give a positive number"):
        Quantised(Box(1), step)


def test_step_too_large() -> None:
    with pytest.raises(InputError, match=r"step 2.0 leaves 'member 0' no two values within \[0.0, 1.5\]"):
        Quantised(Box(1), 2.0)


def test_quantised_of_nothing() -> None:
    assert Quantised(Simplex(1)).dimension == 0


def test_fixed_keeps_its_base() -> None:
    table = CoefficientTable(np.eye(2), np.array([0.9, 1.0]))
    space = Fixed(table)
    assert space.table(np.empty(0)) == table
    assert space.vector(table) is not None
    assert space.vector(CoefficientTable.of(np.eye(2))) is None
