"""Row spaces one by one: known values, distributions and refused bounds."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.box import Box
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.subset import Subset
from mergesearch.spaces.table import CoefficientTable


@pytest.mark.parametrize(
    ("low", "high", "shown"), [(1.0, 0.0, "low 1.0 and high 0.0"), (0.5, 0.5, "0.5 and high 0.5"), (0.0, np.inf, "inf")]
)
def test_turned_round_bounds_name_both_ends(low: float, high: float, shown: str) -> None:
    for make in (lambda: Box(2, low, high), lambda: Affine(3, low, high), lambda: Scaled(Simplex(2), low, high)):
        with pytest.raises(InputError, match=f"{shown}.*give finite numbers, the lower one first"):
            make()


def test_bounds_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="do not fit 2 members; give one pair or 2"):
        Box(2, np.zeros(3), np.ones(3))


def test_members_need_names_of_their_own() -> None:
    with pytest.raises(InputError, match="two members are called 'math'; give each a name of its own"):
        Box(["math", "code", "math"])
    with pytest.raises(InputError, match="at least one member, not 0"):
        Simplex(0)


def test_simplex_is_uniform() -> None:
    """Uniform x gives Dirichlet(1, 1, 1): mean 1/N, variance (N-1)/(N²(N+1)) in every coordinate, the last included."""
    x = np.random.default_rng(0).uniform(size=(20_000, 2))
    rows = np.stack([Simplex(3).row(each) for each in x])
    np.testing.assert_allclose(rows.mean(axis=0), 1 / 3, atol=0.005)
    np.testing.assert_allclose(rows.var(axis=0), 2 / (9 * 4), atol=0.002)


def test_simplex_reaches_vertices_exactly() -> None:
    """One-hot rows must be exact, as they must give the member bit for bit."""
    for row in np.eye(4):
        x = Simplex(4).coordinates(row)
        assert x is not None
        assert np.array_equal(Simplex(4).row(x), row)


def test_simplex_keeps_precision_in_a_short_rest() -> None:
    row = np.array([1.0 - 3e-12, 2e-12, 1e-12])
    x = Simplex(3).coordinates(row)
    assert x is not None
    np.testing.assert_allclose(x[1], 2 / 3, rtol=1e-9)


def test_simplex_refuses_negative_and_unnormalised_rows() -> None:
    assert Simplex(2).coordinates(np.array([1.1, -0.1])) is None
    assert Simplex(2).coordinates(np.array([0.6, 0.6])) is None


def test_affine_allows_negatives_and_sums_to_one() -> None:
    assert Affine(3, -1.0, 2.0).row(np.array([-0.5, 0.7])).tolist() == pytest.approx([-0.5, 0.7, 0.8])
    assert Affine(3).names == ["member 0", "member 1"]


def test_subset_averages_the_chosen() -> None:
    space = Subset(["a", "b", "c"])
    assert space.row(np.array([0.5, 0.1, 0.9])).tolist() == [0.5, 0.0, 0.5]
    assert space.row(np.zeros(3)).tolist() == [0.0, 0.0, 0.0]
    assert space.coordinates(np.array([0.5, 0.0, 0.4])) is None


def test_scale_zero_is_the_base() -> None:
    space = Scaled(Simplex(3), 0.0, 1.5)
    assert np.array_equal(space.row(np.array([0.3, 0.6, 0.0])), np.zeros(3))
    assert space.names == ["share member 0", "share member 1", "row scale"]
    base = space.vector(CoefficientTable.tied(np.zeros(3), 1))
    assert base is not None
    assert base[-1] == 0.0


def test_scaled_does_not_contain_the_base_without_scale_zero() -> None:
    assert Scaled(Simplex(3), 0.2, 1.3).coordinates(np.zeros(3)) is None
    assert Scaled(Subset(3), 0.2, 1.3).coordinates(np.zeros(3)) is not None


def test_scale_is_redundant_on_a_box() -> None:
    for space in (Box(2), Scaled(Simplex(2))):
        with pytest.raises(InputError, match=f"rows of {type(space).__name__} have no fixed sum.*remove 'scale'"):
            Scaled(space)
