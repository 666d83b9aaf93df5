"""Strata: patterns of right and wrong, however many members there are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.evaluators.racing.strata import strata_of


@given(st.integers(0, 12), st.integers(1, 300), st.integers(0, 2**32 - 1), st.booleans())
def test_every_sample_has_a_stratum_and_no_stratum_is_empty(
    members: int, samples: int, seed: int, binary: bool
) -> None:
    scores = np.random.default_rng(seed).random((members, samples))
    strata = strata_of((scores < 0.6).astype(float) if binary else scores)
    assert strata.numbers.shape == (samples,)
    assert strata.sizes.sum() == samples
    assert strata.sizes.min() > 0
    assert len(strata.sizes) == len(strata.agreed) <= 12


def test_patterns_of_two_members_by_hand() -> None:
    first, second = [1] * 10 + [1] * 9 + [0] * 8 + [0] * 12, [1] * 10 + [0] * 9 + [1] * 8 + [0] * 12
    strata = strata_of(np.array([first, second], dtype=float))
    owners = [strata.numbers[place] for place in (0, 10, 19, 27)]
    assert len(set(owners)) == 4
    assert [int(strata.sizes[owner]) for owner in owners] == [10, 9, 8, 12]
    assert [bool(strata.agreed[owner]) for owner in owners] == [True, False, False, True]


def test_a_rare_pattern_joins_the_nearest_of_its_kind() -> None:
    patterns = [(1, 1, 0)] * 20 + [(0, 0, 1)] * 20 + [(0, 1, 0)] * 3 + [(1, 1, 1)] * 20 + [(0, 0, 0)] * 2
    strata = strata_of(np.array(patterns, dtype=float).T)
    assert strata.numbers[40] == strata.numbers[0] != strata.numbers[20], "one member differs, not two"
    assert strata.numbers[63] == strata.numbers[43], "agreement stays apart from disagreement"
    assert sorted(strata.sizes) == [20, 22, 23]


@pytest.mark.parametrize("members", [8, 30])
def test_many_members_are_told_apart_by_how_many_are_right(members: int) -> None:
    rng = np.random.default_rng(members)
    hardness = rng.random(600)
    right = (rng.random((members, 600)) > hardness).astype(float)
    strata = strata_of(right)
    means = [right[:, strata.numbers == number].mean() for number in range(len(strata.sizes))]
    assert len(means) >= 5
    assert max(means) - min(means) > 0.6
    assert strata.sizes.min() >= 8


def test_without_references_there_is_one_stratum() -> None:
    assert strata_of(np.empty((0, 7))).sizes.tolist() == [7]


def test_losses_are_told_apart_by_their_median() -> None:
    losses = np.array([np.r_[np.full(20, 0.1), np.full(20, 9.0)] + 0.001 * np.arange(40), np.full(40, 0.2)])
    strata = strata_of(losses)
    assert len(set(strata.numbers[:20])) == 1
    assert strata.numbers[0] != strata.numbers[39]


def test_what_equals_the_median_is_not_above_it() -> None:
    strata = strata_of(np.repeat([[0.1, 0.5, 0.9]], 8, axis=1))
    assert strata.numbers[0] == strata.numbers[8] != strata.numbers[16]


def test_patterns_are_told_apart_where_the_samples_could_fill_them_all() -> None:
    """Two members have four patterns; with one sample too few, how many are right counts."""
    scores = np.repeat([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]], 8, axis=1)
    assert strata_of(scores, 8).sizes.tolist() == [8, 8, 8, 8]
    assert strata_of(scores[:, :-1], 8).sizes.tolist() == [15, 16], "the seven are too few to stand alone"
