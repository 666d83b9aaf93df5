"""Soups weighted by the members' scores: published numbers, limits, and what always holds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.spaces.table import FloatArray
from mergesearch.spaces.weighted import cocktail, metric_weighted

LOSSES = np.array([0.5, 1.0, 2.0])
some_losses = st.lists(st.floats(0.0, 20.0), min_size=1, max_size=8).map(np.array)


@pytest.mark.parametrize(
    ("temperature", "weights"),
    [(5.0, (0.378, 0.342, 0.280)), (0.2, (0.924, 0.076, 0.001)), (np.inf, (1 / 3, 1 / 3, 1 / 3)), (1e-3, (1, 0, 0))],
)
def test_cocktail(temperature: float, weights: tuple[float, ...]) -> None:
    np.testing.assert_allclose(cocktail(LOSSES, temperature), weights, atol=5e-4)


def test_the_published_temperature_is_the_default() -> None:
    np.testing.assert_array_equal(cocktail(LOSSES), cocktail(LOSSES, 5.0))


@pytest.mark.parametrize(
    ("power", "weights"),
    [(0.0, (1 / 3, 1 / 3, 1 / 3)), (1.0, (0.2, 0.3, 0.5)), (2.0, (4 / 38, 9 / 38, 25 / 38)), (np.inf, (0, 0, 1))],
)
def test_metric_weighted(power: float, weights: tuple[float, ...]) -> None:
    np.testing.assert_allclose(metric_weighted(np.array([0.4, 0.6, 1.0]), power), weights, atol=1e-15)


def test_the_best_share_what_the_others_lose() -> None:
    np.testing.assert_array_equal(metric_weighted(np.array([0.7, 0.2, 0.7]), np.inf), [0.5, 0.0, 0.5])
    np.testing.assert_allclose(cocktail(np.array([1.0, 3.0, 1.0]), 1e-3), [0.5, 0.0, 0.5])


def test_members_without_any_score_weigh_alike() -> None:
    np.testing.assert_array_equal(metric_weighted(np.zeros(4), 3.0), [0.25] * 4)
    np.testing.assert_array_equal(metric_weighted(np.array([0.0, 0.5]), 1.0), [0.0, 1.0])
    np.testing.assert_array_equal(metric_weighted(np.array([0.0, 0.5]), 0.0), [0.5, 0.5])


@given(some_losses, st.floats(0.01, 100.0))
def test_weights_are_shares_that_fall_with_the_loss(losses: FloatArray, temperature: float) -> None:
    weights = cocktail(losses, temperature)
    assert weights.shape == losses.shape and np.isclose(weights.sum(), 1.0) and weights.min() >= 0
    assert (np.diff(weights[np.argsort(losses)]) <= 1e-15).all()
    np.testing.assert_allclose(cocktail(losses + 3.0, temperature), weights, atol=1e-9)


@given(some_losses, st.floats(0.01, 20.0))
def test_one_family(losses: FloatArray, temperature: float) -> None:
    """LM-Cocktail weighs by the likelihood exp(-L), to the power of 1/T."""
    np.testing.assert_allclose(
        metric_weighted(np.exp(-losses), 1 / temperature), cocktail(losses, temperature), atol=1e-9
    )


@given(some_losses, st.floats(0.0, 20.0), st.floats(0.1, 10.0))
def test_the_unit_of_a_metric_plays_no_part(metrics: FloatArray, power: float, unit: float) -> None:
    np.testing.assert_allclose(metric_weighted(unit * metrics, power), metric_weighted(metrics, power), atol=1e-9)


def test_refused() -> None:
    with pytest.raises(InputError, match="a temperature of 0 weighs nothing; give a positive number such as 5"):
        cocktail(LOSSES, 0.0)
    with pytest.raises(InputError, match="a power of -1 favours the worst member; give zero or more"):
        metric_weighted(LOSSES, -1.0)
    with pytest.raises(InputError, match=r"losses are \[nan\]; give finite numbers"):
        cocktail(np.array([np.nan]))
    with pytest.raises(InputError, match=r"metrics are \[-0.1, 0.5\]; give finite numbers that are not negative"):
        metric_weighted(np.array([-0.1, 0.5]))
