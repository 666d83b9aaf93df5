"""AdaMerging's descent: where it starts, how far it gets, and that nothing absorbs it."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.search.adamerging import Adamerging
from mergesearch.search.history import FloatArray
from mergesearch.spaces.box import Box
from mergesearch.spaces.per import Per
from mergesearch.spaces.simplex import Simplex

from .slope_walk import start, tables, walk


def noisy(members: FloatArray) -> tuple[float, FloatArray]:
    """A bumpy function whose second row of coefficients has no say, as a tower that no forward pass enters."""
    value = members.copy()
    value[1] = 0.0
    slopes = np.cos(40.0 * value) + 2.0 * value
    slopes[1] = 0.0
    return float(np.sin(40.0 * value).sum() / 40.0 + (value**2).sum()), slopes


@pytest.mark.parametrize(("groups", "shape"), [(1, (1, 8)), (158, (158, 8))])
def test_published_shapes_start_at_published_values(groups: int, shape: tuple[int, int]) -> None:
    space = Per(Box(8, 0.0, 1.0), groups)
    x = Adamerging().ask(start(space))
    assert x is not None
    assert space.table(x).members.shape == shape
    assert np.all(space.table(x).members == 0.3)


def test_steps_are_bounded_by_the_rate() -> None:
    """Within the published 0.0105 after 10 steps and 0.315 after 300; what has no slope stays exactly at 0.3."""
    found = tables(walk(Adamerging(steps=300, patience=1000), Per(Box(2, 0.0, 1.0), 3), noisy))
    assert len(found) == 301
    moved = np.abs(found - 0.3).max(axis=(1, 2))
    assert 0.0099 <= moved[10] <= 0.0105
    assert moved[300] <= 0.315
    assert np.all(found[:, 1] == 0.3)
    assert found.min() >= 0.0 and found.max() <= 1.0


def test_a_coefficient_at_zero_comes_back() -> None:
    """The loss drives one coefficient to zero, and later, once the other has arrived, wants it back."""

    def loss(members: FloatArray) -> tuple[float, FloatArray]:
        first, second = members[0]
        wanted = 0.0 if second < 0.6 else 0.5
        return float((first - wanted + 0.1) ** 2 + (second - 0.7) ** 2), 2 * np.array(
            [[first - wanted + 0.1, second - 0.7]]
        )

    found = tables(walk(Adamerging(steps=400, rate=0.01, patience=1000), Box(2, 0.0, 1.0), loss))[:, 0, 0]
    assert found.min() == 0.0
    assert found[-1] == pytest.approx(0.4, abs=0.03)


def test_a_space_that_the_descent_leaves_ends_it() -> None:
    def loss(members: FloatArray) -> tuple[float, FloatArray]:
        return -float(members.sum()), -np.ones_like(members)

    history = walk(Adamerging(rate=0.1), Box(1, 0.0, 0.65), loss)
    np.testing.assert_allclose(tables(history)[:, 0, 0], [0.3, 0.4, 0.5, 0.6], atol=1e-6)


def test_refused() -> None:
    with pytest.raises(InputError, match=r"low is 0\.0, start 1\.2 and high 1\.0; give them in this order"):
        Adamerging(start=1.2)
    with pytest.raises(InputError, match=r"Adamerging starts at coefficients \[0\.3 0\.3\] \(first group\), which the"):
        Adamerging().ask(start(Simplex(2)))
