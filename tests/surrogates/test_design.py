"""Designs: where their points lie, and whether they determine a quadratic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from mergesearch.errors import InputError
from mergesearch.surrogates.design import box, canonical, rank_and_condition, simplex_shell, with_canonical
from mergesearch.surrogates.quadratic import QuadraticSurrogate


@given(count=st.integers(1, 70), dimension=st.integers(1, 9), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_shell_points_lie_on_the_shell(count: int, dimension: int, seed: int) -> None:
    points = simplex_shell(count, dimension, seed)
    assert points.shape == (count, dimension)
    assert (points >= 0.0).all()
    assert ((points.sum(axis=1) >= 0.2 - 1e-12) & (points.sum(axis=1) <= 1.3 + 1e-12)).all()
    np.testing.assert_array_equal(points, simplex_shell(count, dimension, seed))


def test_shell_is_dirichlet_times_uniform() -> None:
    """A share of Dirichlet(1, 1, 1, 1) is Beta(1, 3); the sum is uniform."""
    points = simplex_shell(1024, 4, seed=1, scale=(0.5, 1.5))
    sums = points.sum(axis=1)
    assert kstest(sums - 0.5, "uniform").pvalue > 0.2
    assert all(kstest(share, "beta", args=(1, 3)).pvalue > 0.2 for share in (points / sums[:, None]).T)


def test_a_longer_design_begins_with_the_shorter() -> None:
    np.testing.assert_array_equal(simplex_shell(100, 3, 5)[:20], simplex_shell(20, 3, 5))


def test_box_lies_between_its_bounds_and_fills_each_half() -> None:
    low, high = np.array([-1.0, 2.0]), np.array([1.0, 5.0])
    points = box(64, low, high, seed=0)
    assert ((points >= low) & (points < high)).all()
    assert ((points > (low + high) / 2).sum(axis=0) == 32).all()


def test_canonical_points_come_first() -> None:
    points = with_canonical(simplex_shell(5, 3, 0))
    expected = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(points[:5], expected)
    np.testing.assert_array_equal(points[:5], canonical(3))
    assert len(points) == 10


@pytest.mark.parametrize("dimension", range(2, 9))
def test_default_designs_determine_the_quadratic(dimension: int) -> None:
    columns = QuadraticSurrogate.parameters(dimension)
    rank, condition = rank_and_condition(box(2 * columns, np.zeros(dimension), np.ones(dimension), seed=0))
    assert rank == columns
    assert condition < 300.0
    rank, condition = rank_and_condition(with_canonical(simplex_shell(2 * columns - dimension - 2, dimension, seed=0)))
    assert rank == columns
    assert condition < 1000.0


@pytest.mark.parametrize(("dimension", "expected"), zip(range(2, 9), [4, 7, 11, 16, 22, 29, 37], strict=True))
def test_corners_of_a_cube_do_not(dimension: int, expected: int) -> None:
    corners = np.stack(np.meshgrid(*[[0.0, 1.0]] * dimension), axis=-1).reshape(-1, dimension)
    assert rank_and_condition(corners) == (expected, float("inf"))


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"scale is \(1.3, 0.2\); give 0 ≤ low ≤ high"):
        simplex_shell(4, 2, 0, scale=(1.3, 0.2))
    with pytest.raises(InputError, match=r"low is \[0.0, 0.0\], high \[1.0\]; give one of each per coefficient"):
        box(4, [0.0, 0.0], [1.0], 0)
