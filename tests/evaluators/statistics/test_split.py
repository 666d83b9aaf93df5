"""Search and held-out samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.evaluators.statistics.split import split_samples

counts, fractions, seeds = st.integers(2, 300), st.floats(0.01, 0.99), st.integers(0, 2**31)


@given(counts, fractions, seeds, st.text(max_size=8))
def test_the_two_sides_are_disjoint_ascending_and_complete(count: int, held_out: float, seed: int, name: str) -> None:
    search, held, fresh = split_samples(count, held_out, seed, name)
    assert not len(fresh)
    assert search.dtype == held.dtype == np.int64
    assert len(search) >= 1
    assert len(held) >= 1
    assert abs(len(held) - count * held_out) <= 1
    assert (np.diff(search) > 0).all()
    assert (np.diff(held) > 0).all()
    assert sorted([*search, *held]) == list(range(count))
    again = split_samples(count, held_out, seed, name)
    assert all((a == b).all() for a, b in zip((search, held, fresh), again, strict=True))


@given(st.integers(3, 300), st.floats(0.01, 0.98), st.floats(0.01, 0.98), seeds)
def test_fresh_samples_are_a_part_of_their_own(count: int, held_out: float, fresh: float, seed: int) -> None:
    if held_out + fresh >= 1:
        fresh = (1 - held_out) / 2
    split = split_samples(count, held_out, seed, "arc", fresh=fresh)
    assert all(len(part) and (np.diff(part) > 0).all() for part in split)
    assert sorted(np.concatenate(split)) == list(range(count))
    assert abs(len(split.fresh) - count * fresh) <= 2
    without = split_samples(count, held_out, seed, "arc")
    if count > 100 and 0.1 < held_out < 0.9:
        assert split.held_out.tolist() == without.held_out.tolist()


@given(counts, seeds, st.data())
def test_a_larger_limit_only_adds_samples(count: int, seed: int, data: st.DataObject) -> None:
    small = data.draw(st.integers(2, count))
    large = data.draw(st.integers(small, count))
    few, many = (set(np.concatenate(split_samples(count, 0.5, seed, "task", limit))) for limit in (small, large))
    assert len(few) == small
    assert few <= many


def test_tasks_and_seeds_are_split_differently() -> None:
    splits = [split_samples(100, 0.3, seed, name)[1] for seed in (0, 1) for name in ("arc", "boolq")]
    assert len({tuple(one) for one in splits}) == 4


def test_nothing_is_held_out_at_zero() -> None:
    search, held, _ = split_samples(5, 0.0, 0, "task")
    assert search.tolist() == [0, 1, 2, 3, 4]
    assert held.size == 0
    assert split_samples(1, 0.0, 0, "task")[0].tolist() == [0]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"count": 1}, "task 'arc' has 1 samples .* needs 2"),
        ({"limit": 1}, "task 'arc' has 1 samples"),
        ({"count": 0, "held_out": 0.0}, "has 0 samples"),
        ({"held_out": 1.0}, "held_out = 1.0 is no fraction"),
        ({"held_out": -0.1}, "held_out = -0.1"),
        ({"fresh": 1.0}, "fresh = 1.0 is no fraction"),
        ({"fresh": 0.8}, "held_out = 0.2 and fresh = 0.8 leave nothing to the search"),
        ({"seed": -1}, "seed = -1 is negative"),
        ({"limit": 0}, "limit = 0 leaves no samples"),
    ],
)
def test_impossible_splits_are_refused(options: dict[str, float], text: str) -> None:
    with pytest.raises(InputError, match=text):
        split_samples(**{"count": 10, "held_out": 0.2, "seed": 0, "task_name": "arc", **options})  # type: ignore[arg-type]
