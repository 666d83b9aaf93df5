"""Canonical points and soups."""

from __future__ import annotations

import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.canonical import canonical_points, soup
from mergesearch.spaces.simplex import Simplex


def test_points_of_three_members() -> None:
    points = canonical_points(2, 3)
    line = [f"task arithmetic {scale}" for scale in (0.2, 0.3, 0.5, 0.7, 1.0)]
    assert list(points) == ["base", "member 0", "member 1", "member 2", "uniform soup", *line]
    assert points["base"].members.tolist() == [[0.0] * 3] * 2
    assert points["member 1"].members.tolist() == [[0.0, 1.0, 0.0]] * 2
    assert points["uniform soup"].members.tolist() == [[1 / 3] * 3] * 2
    assert points["task arithmetic 0.3"].members.tolist() == [[0.3] * 3] * 2


def test_members_by_name() -> None:
    assert list(canonical_points(1, ["math", "code"]))[1:3] == ["member math", "member code"]
    assert "member math" in Simplex(2).canonical_points(["math", "code"])


def test_equal_tables_stand_once() -> None:
    assert "task arithmetic 0.5" not in canonical_points(1, 2)
    assert "task arithmetic 0.2" not in canonical_points(1, 5)
    one = canonical_points(1, 1)
    assert list(one)[:2] == ["base", "member 0"]
    assert "uniform soup" not in one
    assert "task arithmetic 1.0" not in one


def test_soup() -> None:
    assert soup({2, 0}, 1, 3).members.tolist() == [[0.5, 0.0, 0.5]]
    assert soup((), 1, 2).members.tolist() == [[0.0, 0.0]]
    with pytest.raises(InputError, match="no member has the index 3; there are 3"):
        soup({3}, 1, 3)
