"""From configuration keys to spaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.build import build_space
from mergesearch.spaces.groups import Groups

MODEL = Groups(("model",), np.array([0.5]), {})
LAYERS = Groups(("input", "layer 0", "layer 1", "output"), np.array([0.0, 0.0, 1.0, 1.0]), {})
MEMBERS = ["math", "code", "chat"]


@pytest.mark.parametrize(
    ("options", "groups", "dimension", "first"),
    [
        ({}, MODEL, 3, "math"),
        ({"kind": "box", "low": -0.5, "high": 1.5}, LAYERS, 12, "input: math"),
        ({"kind": "simplex"}, LAYERS, 8, "input: share math"),
        ({"kind": "simplex", "scale": [0.2, 1.3]}, MODEL, 3, "share math"),
        ({"kind": "affine", "low": -2.0, "high": 2.0}, MODEL, 2, "math"),
        ({"kind": "subset"}, MODEL, 3, "math"),
        ({"kind": "simplex", "knots": 2}, LAYERS, 4, "knot 0: share math"),
        ({"kind": "box", "tied": True}, LAYERS, 3, "math"),
        ({"kind": "box", "step": 0.01}, LAYERS, 12, "input: math"),
    ],
)
def test_kinds(options: dict[str, Any], groups: Groups, dimension: int, first: str) -> None:
    space = build_space(options, groups, MEMBERS)
    assert (space.groups, space.members) == (len(groups), 3)
    assert space.dimension == dimension
    assert space.names[0] == first


def test_options_arrive() -> None:
    assert build_space({"low": -1.0, "high": 2.0}, MODEL, 1).bounds.tolist() == [[-1.0, 2.0]]
    assert build_space({"kind": "simplex", "scale": [0.2, 1.3]}, MODEL, 2).bounds.tolist() == [[0.0, 1.0], [0.2, 1.3]]
    assert build_space({"step": 0.1}, MODEL, 1).table(np.array([0.33])).members.tolist() == [[0.3]]


def test_fixed_takes_one_row_or_one_per_group() -> None:
    one = build_space({"kind": "fixed", "coefficients": [0.3, 0.3, 0.3]}, LAYERS, MEMBERS)
    each = build_space({"kind": "fixed", "coefficients": [[0.3, 0.3, 0.3]] * 4}, LAYERS, MEMBERS)
    assert one.table(np.empty(0)) == each.table(np.empty(0))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "simplx"}, "no space is called 'simplx'; did you mean 'simplex'?"),
        ({"kind": "simplex", "low": 0.0}, "space of kind simplex takes no 'low'"),
        ({"kind": "box", "hgih": 1.0}, "space of kind box takes no 'hgih'; did you mean 'high'?"),
        ({"kind": "simplex", "scale": 1.0}, "'scale' is 1.0; give its lowest and highest value as [low, high]"),
        ({"kind": "box", "scale": [0.0, 1.0]}, "rows of Box have no fixed sum"),
        ({"kind": "box", "tied": True, "knots": 2}, "'knots' and 'tied' exclude each other"),
        ({"kind": "fixed"}, "kind fixed needs 'coefficients'"),
        ({"kind": "fixed", "coefficients": [[1, 0, 0]] * 3}, "'coefficients' has 3 rows for 4 groups"),
        ({"kind": "fixed", "coefficients": [1, 0]}, "'coefficients' has 2 numbers a row for 3 members"),
        ({"kind": "fixed", "coefficients": [1, 0, 0], "step": 0.1}, "space of kind fixed takes no 'step'"),
    ],
)
def test_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        build_space(options, LAYERS, MEMBERS)
    assert text in str(error.value)
