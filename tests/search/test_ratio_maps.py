"""The two parametrisations of AMA's ratios: published values, bounds, and slopes against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logit

from mergesearch.search._descent.ratio_maps import ProjectedMap, SigmoidMap
from mergesearch.search.history import FloatArray

EXTREME = 60.0  # logits at which a sigmoid is 0 or 1 to rounding


def test_published_values() -> None:
    ratios = SigmoidMap(0.2, np.ones(3), 0.2).ratios(np.array([0.0, -1.0, 1.0]))
    np.testing.assert_allclose(ratios, [0.200000, 0.133983, 0.266017], atol=5e-7)
    assert ratios.mean() == pytest.approx(0.2, abs=1e-12)  # and not 0.0667, as equation 11 is printed
    moved = SigmoidMap(0.2, np.ones(3), 0.2).ratios(logit(0.2) + np.array([0.1, 0.0, -0.1]))
    np.testing.assert_allclose(moved, [0.208074, 0.199840, 0.192086], atol=5e-7)


@pytest.mark.parametrize(("epsilon", "low", "high"), [(0.2, 0.04615, 0.45), (1.0, 0.12, 0.30), (0.0, 0.0, 0.6)])
def test_published_bounds(epsilon: float, low: float, high: float) -> None:
    shape = SigmoidMap(0.2, np.ones(3), epsilon)
    assert shape.ratios(np.array([EXTREME, -EXTREME, -EXTREME])).max() == pytest.approx(high, abs=1e-5)
    assert shape.ratios(np.array([-EXTREME, EXTREME, EXTREME])).min() == pytest.approx(low, abs=1e-5)


def test_no_ratio_is_above_one() -> None:
    """A mean of 0.6 and ε = 0.2 would lead to 1.35 by the formula alone."""
    shape, values = SigmoidMap(0.6, np.ones(3), 0.2), np.array([EXTREME, -EXTREME, -EXTREME])
    assert shape._unbounded(values).max() == pytest.approx(1.35)
    np.testing.assert_allclose(shape.ratios(values), [1.0, 0.4, 0.4], atol=1e-12)


@given(
    st.lists(st.floats(-4.0, 4.0), min_size=1, max_size=6),
    st.floats(0.05, 0.3),
    st.sampled_from([0.0, 0.2, 1.0]),
    st.integers(0, 1000),
)
def test_slopes_are_those_of_autograd(values: list[float], mean: float, epsilon: float, seed: int) -> None:
    """The closed form against differentiating the formula, with any weights."""
    generator = np.random.default_rng(seed)
    weights, slopes = generator.uniform(0.1, 1.0, (2, len(values)))
    logits = torch.tensor(values, dtype=torch.float64, requires_grad=True)
    raised = torch.sigmoid(logits) + epsilon
    ratios = mean * weights.sum() * raised / (torch.tensor(weights) * raised).sum()
    (ratios * torch.tensor(slopes)).sum().backward()
    assert logits.grad is not None
    found = SigmoidMap(mean, weights, epsilon).gradient(np.array(values), slopes)
    np.testing.assert_allclose(found, logits.grad.numpy(), rtol=0, atol=1e-12)


def test_starts_are_plain_averaging_bit_for_bit() -> None:
    for shape in (SigmoidMap(0.3, np.array([1.0, 0.2]), 0.2), ProjectedMap(0.3, np.array([1.0, 0.2]))):
        assert shape.ratios(shape.start()).tolist() == [0.3, 0.3]


def test_a_projected_ratio_leaves_zero_again() -> None:
    """At 0 the slope still says which way to go; what all have in common says nothing."""
    shape = ProjectedMap(0.5, np.ones(2))
    values = np.array([0.0, 1.0])
    moved = shape.onto(values - 0.1 * shape.gradient(values, np.array([-1.0, 1.0])))
    np.testing.assert_allclose(moved, [0.1, 0.9], atol=1e-12)
    common: FloatArray = shape.gradient(values, np.array([3.0, 3.0]))
    np.testing.assert_allclose(common, 0.0, atol=1e-15)
