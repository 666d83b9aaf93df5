"""EMA coefficients: golden values, the recursion itself, uneven gaps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.spaces.ema import ema_rates, ema_row


@pytest.mark.parametrize(
    ("rate", "last", "first", "effective"),
    [
        (0.999, 0.632305, 1.13e-17, 2.163),
        (0.9999, 0.095167, 0.020238, 19.861),
        (0.9999432189950708, 0.055201, 0.109206, 25.018),
    ],
)
def test_golden_values(rate: float, last: float, first: float, effective: float) -> None:
    """40 snapshots, 1,000 steps apart; a rate taken per snapshot would give 0.02505 for the second case."""
    row = ema_row(range(1000, 40_001, 1000), rate)
    assert row[-1] == pytest.approx(last, abs=1e-6)
    assert row[0] == pytest.approx(first, abs=1e-6)
    assert 1 / np.sum(row**2) == pytest.approx(effective, abs=1e-3)
    assert abs(row.sum() - 1) < 1e-12


def test_with_gaps_of_one_it_is_the_recursion() -> None:
    snapshots = np.random.default_rng(0).normal(size=(200, 7))
    average = snapshots[0]
    for snapshot in snapshots[1:]:
        average = 0.97 * average + 0.03 * snapshot
    np.testing.assert_allclose(ema_row(range(200), 0.97) @ snapshots, average, rtol=0, atol=1e-12)


steps = st.lists(st.integers(1, 5000), min_size=1, max_size=60, unique=True).map(sorted)


@given(steps, st.floats(0.01, 0.999999))
def test_uneven_gaps_hold_each_snapshot_until_the_next(steps: list[int], rate: float) -> None:
    """The recursion over every single step, in which a snapshot's weights count for the gap before it."""
    row = ema_row(steps, rate)
    average = np.eye(len(steps))[0]
    for number in range(1, len(steps)):
        kept = rate ** (steps[number] - steps[number - 1])
        average = kept * average + (1 - kept) * np.eye(len(steps))[number]
    np.testing.assert_allclose(row, average, rtol=0, atol=1e-12)
    assert abs(row.sum() - 1) < 1e-12 and (row >= 0).all()


@given(steps)
def test_rates_lie_between_gap_and_length(steps: list[int]) -> None:
    rates = ema_rates(steps)
    assert rates == sorted(set(rates))
    for rate in rates:
        assert np.median(np.diff(steps)) <= 1 / (1 - rate) * (1 + 1e-9)
        assert 1 / (1 - rate) <= (steps[-1] - steps[0]) * (1 + 1e-9)


def test_usual_rates() -> None:
    assert ema_rates(range(100, 2001, 100)) == [0.99, 0.995, 0.998, 0.999]
    assert ema_rates(range(1000, 40_001, 1000)) == [0.999, 0.9995, 0.9998, 0.9999, 0.99995]
    assert ema_rates([5]) == []


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.5, np.nan])
def test_rates_out_of_range_are_refused(rate: float) -> None:
    with pytest.raises(InputError, match=f"the EMA's rate is {rate}; give a number between 0 and 1, such as 0.999"):
        ema_row([1, 2], rate)


@pytest.mark.parametrize("steps", [[], [2, 1], [1, 1]])
def test_steps_must_ascend(steps: list[int]) -> None:
    with pytest.raises(InputError, match=r"steps are \[.*\]; give one for each snapshot, ascending"):
        ema_row(steps, 0.9)
