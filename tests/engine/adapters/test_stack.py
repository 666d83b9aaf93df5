"""Stacked factors and the strips that coefficients are spread over, against sums written out."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.engine.adapters.stack import Stack
from mergesearch.engine.adapters.strip import strips_of
from mergesearch.engine.checkpoints.adapter import LowRank
from mergesearch.spaces.groups import Groups

MEMBERS = 3


@st.composite
def factors(draw: st.DrawFn) -> dict[int, LowRank]:
    """Factors of some members for one weight."""
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    owners = draw(st.lists(st.integers(0, MEMBERS - 1), min_size=1, max_size=MEMBERS, unique=True))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    found = {}
    for owner in sorted(owners):
        rank = draw(st.integers(1, 3))
        up, down = (torch.randn(shape, generator=generator) for shape in ((rows, rank), (rank, columns)))
        found[owner] = LowRank(up, down, draw(st.floats(0.1, 4)))
    return found


def rows_of(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, (count, MEMBERS))


@settings(max_examples=60, deadline=None)
@given(factors(), st.integers(0, 100))
def test_a_stack_is_the_sum_of_its_members(found: dict[int, LowRank], seed: int) -> None:
    row = rows_of(1, seed)[0]
    stack = Stack.of(found, torch.device("cpu"), torch.float64)
    expected = sum(row[n] * f.scale * (f.up.double() @ f.down.double()) for n, f in found.items())
    assert isinstance(expected, torch.Tensor)
    torch.testing.assert_close(stack.delta(row), expected)
    assert stack.owners.tolist() == sorted(stack.owners.tolist()) and set(stack.owners.tolist()) == set(found)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(factors(), st.booleans(), st.integers(0, 2)), min_size=1, max_size=5), st.integers(0, 100))
def test_gradients_are_the_mirror_of_the_spread(drawn: list[tuple[dict[int, LowRank], bool, int]], seed: int) -> None:
    """⟨spread(C), v⟩ = ⟨C, gradient(v)⟩ for all C and v: one is the other's transpose."""
    names = [f"w{number}" for number in range(len(drawn))]
    kinds = {True: torch.float64, False: torch.float32}
    stacks = {
        name: Stack.of(found, torch.device("cpu"), kinds[wide])
        for name, (found, wide, _) in zip(names, drawn, strict=True)
    }
    groups = Groups(("a", "b", "c"), np.zeros(3), {name: one[2] for name, one in zip(names, drawn, strict=True)})
    table, total, inner = rows_of(3, seed), np.zeros((3, MEMBERS)), 0.0
    strips = strips_of(stacks, groups)
    assert sorted(name for strip in strips for name in strip.lengths) == names
    for strip in strips:
        values = strip.values(table).double()
        for name, part in strip.parts(values).items():
            np.testing.assert_allclose(part, stacks[name].diagonal(table[groups.of[name]]), rtol=1e-6)
        slopes = torch.randn(len(values), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        strip.add_gradient(total, slopes)
        inner += float(values @ slopes)
    np.testing.assert_allclose((table * total).sum(), inner, rtol=1e-5, atol=1e-5)
