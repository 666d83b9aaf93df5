"""The learned soup: it starts as the uniform one, stays an average, and its slopes are right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.search.history import FloatArray
from mergesearch.search.learned_soup import LearnedSoup
from mergesearch.spaces.box import Box
from mergesearch.spaces.per import Per, Tied
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

from .slope_walk import start, tables, walk

SPACES = [Simplex(3), Box(3), Per(Simplex(3), 4), Per(Box(3), 4), Tied(Simplex(3), 4)]


def distance(members: FloatArray) -> tuple[float, FloatArray]:
    """Squared distance to unequal shares, which differ from group to group."""
    targets = np.stack([np.roll([0.7, 0.2, 0.1], group) for group in range(len(members))])
    return float(((members - targets) ** 2).sum()), 2.0 * (members - targets)


def test_the_published_variant_has_11521_numbers_and_starts_uniform() -> None:
    path = LearnedSoup().paths(Per(Box(72), 160))[0]
    values = path.start()
    assert values.shape == (11_521,)
    assert values[-1] == 1.0
    assert np.all(path.table(values).members == 1.0 / 72)


@pytest.mark.parametrize("space", SPACES)
def test_rows_are_shares_and_improve(space: Space) -> None:
    history = walk(LearnedSoup(steps=60, rate=0.1), space, distance)
    rows = tables(history)
    np.testing.assert_allclose(rows.sum(axis=2), 1.0, atol=1e-12)
    assert rows.min() >= 0.0
    np.testing.assert_allclose(rows[0], 1.0 / 3.0, rtol=0, atol=1e-15)
    assert history.losses.min() < 0.5 * history.losses[0, 0] or isinstance(space, Tied)  # which averages the targets
    if isinstance(space, Tied):
        assert np.ptp(rows, axis=1).max() == 0.0


@pytest.mark.parametrize("temperature", [None, 0.5])
@pytest.mark.parametrize("space", [Per(Box(3), 2), Tied(Box(3), 2)])
def test_slopes_are_those_of_autograd(space: Space, temperature: float | None) -> None:
    generator = np.random.default_rng(2)
    path = LearnedSoup(temperature=temperature).paths(space)[0]
    values, slopes = path.start(), generator.normal(size=(2, 3))
    values[:-1] = generator.normal(size=len(values) - 1)
    leaf = torch.tensor(values, requires_grad=True)
    shares = torch.softmax(leaf[-1] * leaf[:-1].reshape(-1, 3), dim=1).expand(2, 3)
    (shares * torch.tensor(slopes)).sum().backward()
    assert leaf.grad is not None
    expected = leaf.grad.numpy()
    if temperature is not None:
        expected[-1] = 0.0  # held
    np.testing.assert_allclose(path.gradient(values, slopes), expected, atol=1e-14)


def test_a_given_temperature_is_kept() -> None:
    path = LearnedSoup(temperature=0.5).paths(Simplex(3))[0]
    values = path.start() + np.array([1.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(path.table(values).members[0, 0], np.exp(2) / (np.exp(2) + 2))


def test_refused() -> None:
    with pytest.raises(InputError, match=r"temperature is 0; give a positive number, or leave it out to learn it"):
        LearnedSoup(temperature=0)
    with pytest.raises(InputError, match=r"LearnedSoup starts at coefficients .* which the space does not contain"):
        LearnedSoup().ask(start(Box(3, 0.5, 1.0)))
