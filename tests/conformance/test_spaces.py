"""Laws that every space and combinator keeps. A new space joins by one line in SPACES."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mergesearch.spaces
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.box import Box
from mergesearch.spaces.fixed import Fixed
from mergesearch.spaces.knots import DepthKnots
from mergesearch.spaces.mean import MeanConstrained
from mergesearch.spaces.per import Per, Tied
from mergesearch.spaces.quantised import Quantised
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space
from mergesearch.spaces.subset import Subset
from mergesearch.spaces.swap import Swap
from mergesearch.spaces.table import CoefficientTable, FloatArray

DEPTHS = np.array([0.0, 0.2, 0.5, 0.9, 1.0])
SPACES: dict[str, Callable[[], Space]] = {
    "box": lambda: Box(3, -0.5, 1.5),
    "box of unequal bounds": lambda: Box(["math", "code"], np.array([0.0, -1.0]), np.array([2.0, 1.0])),
    "box of one": lambda: Box(1),
    "simplex": lambda: Simplex(4),
    "simplex of many": lambda: Simplex(20),
    "simplex of one": lambda: Simplex(1),
    "affine": lambda: Affine(4, -2.0, 2.0),
    "affine of one": lambda: Affine(1),
    "subset": lambda: Subset(5),
    "fixed": lambda: Fixed(CoefficientTable.of(np.arange(6.0).reshape(2, 3))),
    "scaled simplex": lambda: Scaled(Simplex(3), 0.0, 1.5),
    "scaled simplex of one": lambda: Scaled(Simplex(1), 0.2, 1.3),
    "scaled affine": lambda: Scaled(Affine(3), -1.0, -0.2),
    "scaled subset": lambda: Scaled(Subset(3), 0.1, 1.3),
    "per": lambda: Per(Simplex(3), ["input", "layer 0"]),
    "per scaled": lambda: Per(Scaled(Simplex(3)), 4),
    "tied": lambda: Tied(Scaled(Affine(3), 0.1, 1.0), 3),
    "knots": lambda: DepthKnots(Box(2), DEPTHS, 3),
    "knots of scaled simplex": lambda: DepthKnots(Scaled(Simplex(3)), DEPTHS, 2),
    "one knot": lambda: DepthKnots(Simplex(3), DEPTHS, 1),
    "swap": lambda: Swap(["math", "code"], DEPTHS),
    "swap of four levels": lambda: Swap(3, np.array([0.0, 0.0, 0.4, 0.7, 1.0, 1.0]), "member 2", "member 0"),
    "swap of the base": lambda: Swap(1, DEPTHS),
    "mean": lambda: MeanConstrained(1, 3, 0.2),
    "mean of layers": lambda: MeanConstrained(1, 26, 0.6),
    "mean of one group": lambda: MeanConstrained(2, 1, 0.6),
    "mean searched": lambda: MeanConstrained(1, 4, (0.0, 1.0)),
    "mean of held and weighted groups": lambda: MeanConstrained(
        ["math", "code"], 6, (0.2, 0.9), np.array([1.0, 5.0, 0.01, 2.0, 1.0, 3.0]), {0: "base", 4: "mean", 5: "member"}
    ),
    "quantised box": lambda: Quantised(Box(3, -0.5, 1.5), 0.01),
    "quantised simplex": lambda: Quantised(Per(Simplex(3), 2), 0.05),
    "quantised knots": lambda: Quantised(DepthKnots(Box(2), DEPTHS, 2), 0.1),
}
# Spaces in which many vectors share a table, so that a vector need not come back.
ROUNDING = {
    "subset",
    "scaled subset",
    "swap",
    "swap of four levels",
    "swap of the base",
    "quantised box",
    "quantised simplex",
    "quantised knots",
}
ROUNDING |= {"mean", "mean of layers", "mean searched", "mean of held and weighted groups"}  # which project


@pytest.fixture(params=SPACES, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    """Name of a space, one after another."""
    return str(request.param)


@pytest.fixture(scope="module")
def space(name: str) -> Space:
    """The space of that name."""
    return SPACES[name]()


def at(space: Space, unit: FloatArray) -> FloatArray:
    """X at these fractions of the way from low to high."""
    low, high = space.bounds.T
    return np.asarray(np.clip(low + unit * (high - low), low, high), dtype=np.float64)


def some_x(space: Space, low: float = 0.0, high: float = 1.0) -> st.SearchStrategy[FloatArray]:
    """Vectors within the bounds, corners among them; between the fractions `low` and `high` of each range."""
    size = space.dimension
    return st.lists(st.floats(low, high), min_size=size, max_size=size).map(lambda unit: at(space, np.array(unit)))


def close(left: CoefficientTable, right: CoefficientTable) -> bool:
    return bool(np.allclose(left.members, right.members, rtol=0, atol=1e-8)) and np.array_equal(left.base, right.base)


def test_every_space_is_on_the_list() -> None:
    """A space that nobody added to SPACES would go without these tests."""
    on_list = {cls for make in SPACES.values() for cls in _classes_within(make())}
    defined = set()
    for module in pkgutil.iter_modules(mergesearch.spaces.__path__):
        for cls in vars(importlib.import_module(f"mergesearch.spaces.{module.name}")).values():
            if inspect.isclass(cls) and issubclass(cls, Space) and not inspect.isabstract(cls):
                defined.add(cls)
    assert defined == on_list


def _classes_within(space: object) -> Iterator[type]:
    while isinstance(space, Space):
        yield type(space)
        space = getattr(space, "space", None)


def test_names_and_bounds(space: Space) -> None:
    """One name and one proper interval per coordinate."""
    assert len(set(space.names)) == len(space.names) == space.dimension
    assert space.bounds.shape == (space.dimension, 2)
    assert space.bounds.dtype == np.float64
    assert np.isfinite(space.bounds).all()
    assert np.all(space.bounds[:, 0] < space.bounds[:, 1])
    assert space.names == type(space).names.fget(space)  # type: ignore[attr-defined]  # stable between calls


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_table_is_defined_within_the_bounds(space: Space, data: st.DataObject) -> None:
    """Every x decodes to finite coefficients of the right shape, and is left as it was."""
    x = data.draw(some_x(space))
    before = x.copy()
    table = space.table(x)
    assert space.contains(x)
    assert table.members.shape == (space.groups, space.members)
    assert table.members.dtype == np.float64
    assert np.isfinite(table.members).all()
    assert np.array_equal(table.base, np.ones(space.groups))
    assert np.array_equal(x, before)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_table_comes_back(space: Space, data: st.DataObject) -> None:
    """table(vector(t)) is t, on the boundary as well."""
    table = space.table(data.draw(some_x(space)))
    x = space.vector(table)
    assert x is not None
    assert x.shape == (space.dimension,)
    assert space.contains(x)
    assert close(space.table(x), table)


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_vector_comes_back(name: str, space: Space, data: st.DataObject) -> None:
    """vector(table(x)) is x inside the space; where vectors share a table, it is the same one for all of them."""
    x = data.draw(some_x(space, 0.02, 0.98))
    again = space.vector(space.table(x))
    assert again is not None
    if name in ROUNDING:
        once_more = space.vector(space.table(again))
        assert once_more is not None
        x = once_more
    np.testing.assert_allclose(again, x, rtol=0, atol=1e-7)


def test_other_tables_have_no_vector(space: Space) -> None:
    """Another c₀, another shape, numbers far away or not finite: not in the space."""
    inside = space.table(space.bounds.mean(axis=1))
    assert space.vector(inside) is not None
    assert space.vector(CoefficientTable(inside.members, inside.base * 0.5)) is None
    assert space.vector(CoefficientTable.of(inside.members + 50.0)) is None
    assert space.vector(CoefficientTable.of(np.full_like(inside.members, np.nan))) is None
    assert space.vector(CoefficientTable.of(np.concatenate([inside.members, inside.members]))) is None
    assert space.vector(CoefficientTable.of(np.concatenate([inside.members, inside.members], axis=1))) is None


def test_canonical_points_come_back_or_lie_outside(space: Space) -> None:
    """A canonical point either has an x that gives it back, or none."""
    for table in space.canonical_points().values():
        assert table.members.shape == (space.groups, space.members)
        x = space.vector(table)
        assert x is None or close(space.table(x), table)


def test_x_outside_is_not_contained(space: Space) -> None:
    """`contains` sees one coordinate beyond its bound."""
    for index in range(space.dimension):
        x = space.bounds.mean(axis=1)
        x[index] = space.bounds[index, 1] + 0.1
        assert not space.contains(x)
