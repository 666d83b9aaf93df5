"""Looks and their critical value, against the published table and a simulation."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.evaluators.racing.looks import critical_value, look_sizes


@given(st.integers(1, 5000), st.integers(2, 64), st.floats(1.2, 4))
def test_looks_grow_and_end_with_everything(count: int, first: int, growth: float) -> None:
    sizes = look_sizes(count, first, growth)
    assert sizes[-1] == count
    assert list(sizes) == sorted(set(sizes))
    if count < 2 * first:
        assert sizes == (count,)
    else:
        assert sizes[0] == (first if len(sizes) > 1 else count)


def test_sizes_by_hand() -> None:
    assert look_sizes(450, 16, 2.0) == (16, 32, 64, 128, 450)
    assert look_sizes(100, 16, 1.5) == (16, 24, 36, 54, 100)
    assert look_sizes(31) == (31,)


@pytest.mark.parametrize(("looks", "constant"), [(2, 2.178), (3, 2.289), (5, 2.413)])
def test_equal_steps_of_a_large_population_give_pococks_constants(looks: int, constant: float) -> None:
    """Pocock 1977, table 1: two-sided 5 %, whose one side is 2.5 % to within 0.001 here."""
    sizes = (*(100 * number for number in range(1, looks + 1)), 10**9)
    assert critical_value(0.025, sizes, 1) == pytest.approx(constant, abs=0.003)


def test_a_single_look_needs_the_normal_quantile() -> None:
    assert critical_value(0.05, (16, 100), 1) == pytest.approx(NormalDist().inv_cdf(0.95), abs=1e-9)


def test_more_looks_and_objectives_need_more() -> None:
    one, two = critical_value(0.1, (16, 100), 1), critical_value(0.1, (16, 32, 100), 1)
    assert one < two < critical_value(0.1, (16, 32, 100), 2)
    assert two < NormalDist().inv_cdf(1 - 0.1 / 2), "Bonferroni takes the looks for unrelated"


def test_the_bound_holds_for_means_drawn_without_replacement() -> None:
    """Means of prefixes of random permutations: the share of runs that ever exceed the bound is as allowed."""
    rng = np.random.default_rng(0)
    looks = look_sizes(400, 32)
    scores = rng.normal(size=400)
    drawn = rng.permuted(np.tile(scores, (20000, 1)), axis=1).cumsum(axis=1)
    worst = np.full(20000, -np.inf)
    for size in looks[:-1]:
        error = scores.std(ddof=1) * np.sqrt(1 / size - 1 / 400)
        worst = np.maximum(worst, (drawn[:, size - 1] / size - scores.mean()) / error)
    for allowed in (0.05, 0.2):
        assert (worst > critical_value(allowed, looks, 1)).mean() == pytest.approx(allowed, abs=0.01)


def test_what_just_fits_is_a_look() -> None:
    assert look_sizes(32) == (16, 32)
    assert look_sizes(64, 16, 2.0) == (16, 32, 64)
