"""Canonical points with settings, made from their names."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.spaces.groups import Groups, group_tensors
from mergesearch.spaces.place import TensorPlace
from mergesearch.spaces.published import families
from mergesearch.spaces.table import CoefficientTable


def _layers(count: int) -> Groups:
    places = [TensorPlace(f"layers.{n}", 10, n, n / (count - 1), "mlp") for n in range(count)]
    ends = [TensorPlace("embed", 10, None, 0.0, "embed"), TensorPlace("head", 10, None, 1.0, "head")]
    return group_tensors([*places, *ends], "layers")


def points(
    pattern: str, members: tuple[str, ...] = ("math", "code", "chat"), layers: int = 4, trajectory: bool = False
) -> dict[str, CoefficientTable]:
    found = families(_layers(layers), members, range(100, 100 * len(members) + 1, 100) if trajectory else None)
    return {name: table for family in found for name, table in family.chosen(pattern).items()}


def rows(name: str, members: tuple[str, ...] = ("math", "code", "chat"), trajectory: bool = False) -> list[list[float]]:
    (table,) = points(name, members, trajectory=trajectory).values()
    rows: list[list[float]] = table.members.tolist()
    return rows


def test_wise_ft() -> None:
    assert rows("wise-ft code 0.75") == [[0.0, 0.75, 0.0]] * 6
    assert rows("wise-ft 0.25", ("math",)) == [[0.25]] * 6
    assert rows("wise-ft math 0.25", ("math",)) == [[0.25]] * 6
    assert rows("wise-ft math 1.1")[0] == [1.1, 0.0, 0.0], "extrapolation"
    assert rows("wise-ft step 200 .5", ("step 100", "step 200"))[0] == [0.0, 0.5]


def test_the_curve_is_a_glob() -> None:
    assert list(points("wise-ft *", ("math",))) == [
        f"wise-ft {a}" for a in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
    ]
    assert len(points("wise-ft *")) == 30
    assert list(points("wise-ft * 0.75")) == ["wise-ft math 0.75", "wise-ft code 0.75", "wise-ft chat 0.75"]


@given(st.floats(-2.0, 2.0))
def test_wise_ft_is_a_line_from_the_base_to_the_member(share: float) -> None:
    (table,) = points(f"wise-ft math {share!r}").values()
    np.testing.assert_array_equal(table.members, share * points("wise-ft math 1")["wise-ft math 1"].members)


def test_layer_swaps() -> None:
    outer, middle, mixed = [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]
    # input, layers 0 to 3, output
    assert rows("layer swap math around code 1+1") == [outer, outer, middle, middle, outer, outer]
    assert rows("layer swap math around code 0+2") == [middle, middle, middle, outer, outer, outer]
    assert rows("layer swap math around code 1+1 zone 1") == [outer, outer, mixed, mixed, outer, outer]
    assert rows("layer swap base around code 1+1")[0] == [0.0, 0.0, 0.0]
    assert rows("layer swap math around base 1+1")[2] == [0.0, 0.0, 0.0]


def test_one_model_for_all_layers_is_that_model() -> None:
    assert rows("layer swap math around code 4+0") == [[1.0, 0.0, 0.0]] * 6
    assert rows("layer swap math around code 0+0") == [[0.0, 1.0, 0.0]] * 6


def test_usual_swaps_grow_with_depth() -> None:
    assert len(points("layer swap *")) == 12, "six ordered pairs, with and without a zone"
    assert list(points("layer swap math around code *", layers=12)) == [
        "layer swap math around code 3+3",
        "layer swap math around code 3+3 zone 1",
    ]
    assert list(points("layer swap *", ("math",), layers=3)) == [
        "layer swap math around base 1+1",
        "layer swap base around math 1+1",
    ]


def test_windows_are_the_last_snapshots() -> None:
    steps = tuple(f"step {n}" for n in range(6))
    assert rows("window 2", steps, trajectory=True)[0] == [0, 0, 0, 0, 0.5, 0.5]
    assert rows("window 6", steps, trajectory=True)[0] == [1 / 6] * 6
    assert list(points("window *", steps, trajectory=True)) == ["window 2", "window 4"]
    assert not points("window 2"), "experts have no order"
    with pytest.raises(InputError, match="'window 7' is wider than the 6 snapshots; give at most their number"):
        points("window 7", steps, trajectory=True)


def test_usual_names_are_points() -> None:
    """What a glob chooses from is what the names make, one table each."""
    for members in (("math",), ("math", "code"), ("step 1", "step 2", "step 3")):
        for family in families(_layers(5), members, range(len(members))):
            tables = {name: family.make(name) for name in family.usual}
            assert None not in tables.values()
            assert len({table.digest() for table in tables.values() if table}) == len(tables)


@pytest.mark.parametrize(
    "name",
    ["wise-ft 0.5", "wise-ft mth 0.5", "wise-ft math", "wise-ft math x", "layer swap math around code", "window x"],
)
def test_other_names_are_none(name: str) -> None:
    assert not points(name, trajectory=True)


def test_refused() -> None:
    with pytest.raises(InputError, match="no member is called 'mth'; did you mean 'math'"):
        points("layer swap mth around code 1+1")
    with pytest.raises(InputError, match="3 layers at the bottom, 3 at the top do not fit into 4"):
        points("layer swap math around code 3+3")
    one = group_tensors([TensorPlace("w", 1, None, 0.0, "w")], "model")
    with pytest.raises(InputError, match="all groups lie at one depth"):
        families(one, ["math", "code"])[1].make("layer swap math around code 1+1")
