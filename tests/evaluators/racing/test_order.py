"""The visiting order: a permutation whose prefixes are stratified, with their share of agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.strata import Strata, strata_of


def made(seed: int, members: int, samples: int) -> Strata:
    rng = np.random.default_rng(seed)
    return strata_of((rng.random((members, samples)) < rng.random(samples)).astype(float))


@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 400), st.floats(0, 1))
def test_it_is_a_permutation(seed: int, members: int, samples: int, agreement: float) -> None:
    order = visiting_order(made(seed, members, samples), agreement, [seed])
    assert sorted(order.tolist()) == list(range(samples))


@given(st.integers(0, 2**32 - 1), st.integers(2, 6), st.floats(0.1, 0.9))
def test_every_prefix_keeps_the_guard_as_long_as_both_last(seed: int, members: int, agreement: float) -> None:
    strata = made(seed, members, 300)
    alike = strata.agreed[strata.numbers]
    order = visiting_order(strata, agreement, [seed])
    sizes = np.arange(1, 301)
    guards = np.cumsum(alike[order])
    both = (guards < alike.sum()) & (sizes - guards < (~alike).sum())
    assert (np.abs(guards - agreement * sizes)[both] <= 1.0).all()


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_how_many_of_each_stratum_a_prefix_holds_does_not_depend_on_the_seed(one: int, other: int) -> None:
    strata = made(7, 4, 200)
    left, right = (strata.numbers[visiting_order(strata, 0.3, [seed])] for seed in (one, other))
    np.testing.assert_array_equal(left, right)


def test_prefixes_hold_strata_of_a_kind_in_proportion() -> None:
    strata = Strata(np.repeat([0, 1, 2], [100, 200, 100]), np.array([True, False, False]))
    first = strata.numbers[visiting_order(strata, 0.25, [0])[:80]]
    assert np.bincount(first).tolist() == [20, 40, 20]


def test_each_sample_of_a_stratum_is_equally_likely_to_come_first() -> None:
    strata = Strata(np.repeat([0, 1], [20, 30]), np.array([True, False]))
    counts = np.zeros(50)
    for seed in range(3000):
        counts[visiting_order(strata, 0.4, [seed])[:10]] += 1
    assert counts[:20] / 3000 == pytest.approx(4 / 20, abs=0.04)
    assert counts[20:] / 3000 == pytest.approx(6 / 30, abs=0.04)


def test_the_same_seed_gives_the_same_order() -> None:
    strata = made(1, 3, 100)
    np.testing.assert_array_equal(visiting_order(strata, 0.3, [1, 2]), visiting_order(strata, 0.3, [1, 2]))
    assert (visiting_order(strata, 0.3, [1, 2]) != visiting_order(strata, 0.3, [1, 3])).any()


def test_kinds_take_their_turns_by_hand() -> None:
    """A quarter of agreement comes at 2 and 6, the others at 2/3, 2, 10/3, and so on; of equal turns it is first."""
    strata = Strata(np.repeat([0, 1], [2, 6]), np.array([True, False]))
    alike = strata.agreed[strata.numbers[visiting_order(strata, 0.25, [0])]]
    assert np.flatnonzero(alike).tolist() == [1, 5]
