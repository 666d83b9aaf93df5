"""The laws of a linear merge, on random banks: base, members and layer swaps bit for bit, and no memory of the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mergesearch.engine import storage as room_of_storages
from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.storage.storage import Storage
from mergesearch.plugins import plugin_names

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
SHAPES = ((), (1,), (0,), (3, 5), (7,), (4097,), (64, 65), (2, 3, 5))
KINDS = ("normal", "subnormal", "large", "mixed", "zero")
STORAGES = plugin_names(room_of_storages.__name__, Storage)
LOSSLESS = [name for name in STORAGES if BankOptions(name).kept.lossless]
TUNED = ("unchanged", "near", "near", "far", "sparse", "signs", "copy")

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def worlds(draw: st.DrawFn, tiny: Any, dtypes: Any = DTYPES, kinds: Any = KINDS) -> Any:
    """Base and members of up to five tensors, in one or two dtypes, and a grouping."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**20)))
    count = draw(st.integers(1, 4))
    base: dict[str, torch.Tensor] = {}
    members: list[dict[str, torch.Tensor]] = [{} for _ in range(count)]
    for number in range(draw(st.integers(1, 5))):
        name, dtype, shape = f"t{number}", draw(st.sampled_from(tiny.supported(dtypes))), draw(st.sampled_from(SHAPES))
        base[name] = tiny.random_tensor(draw(st.sampled_from(kinds)), shape, dtype, generator)
        for member in members:
            first = members[0].get(name)
            member[name] = tiny.fine_tuned(draw(st.sampled_from(TUNED)), base[name], first, generator)
    rows = [draw(st.integers(0, 2)) for _ in base]
    return tiny.World(base, members, tiny.groups_of({**dict(zip(base, rows, strict=True))}))


def coefficients(world: Any) -> st.SearchStrategy[Any]:
    """Rows of ordinary coefficients, one per group."""
    number = st.floats(-1.5, 1.5, width=32)
    row = st.lists(number, min_size=len(world.members), max_size=len(world.members))
    return st.lists(row, min_size=len(world.groups), max_size=len(world.groups)).map(world.table)


@given(data=st.data())
@quick
def test_base_and_members_come_back_bit_for_bit(tiny: Any, data: st.DataObject) -> None:
    """Each row a one-hot or zeros: its tensors are that member's or the base's, negative zeros included."""
    world = data.draw(worlds(tiny))
    live = world.live(storage=data.draw(st.sampled_from(LOSSLESS)))
    live.write(data.draw(coefficients(world)))
    chosen = [data.draw(st.integers(-1, len(world.members) - 1)) for _ in world.groups.names]
    live.write(world.table([[float(n == choice) for n in range(len(world.members))] for choice in chosen]))
    for name, value in tiny.weights(live).items():
        choice = chosen[world.groups.of[name]]
        wanted = world.base[name] if choice < 0 else world.members[choice][name]
        assert tiny.same_bits(value, wanted), (name, choice)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:bf16 and fp16 are mixed")
@pytest.mark.parametrize("storage", STORAGES)
@given(data=st.data())
@settings(quick, max_examples=5)
def test_compiled_candidates_are_the_eager_ones(tiny: Any, storage: str, data: st.DataObject) -> None:
    """Whole models, of several dtypes, scaled bases and one-hot rows among the tables."""
    world = data.draw(worlds(tiny))
    compiled, eager = world.live("compiled", storage=storage), world.live("eager", storage=storage)
    one_hot = world.table(np.eye(len(world.members))[0])
    for table in (data.draw(coefficients(world)), world.table(0.3, base=[0.5] * len(world.groups)), one_hot):
        compiled.write(table)
        eager.write(table)
        assert all(tiny.same_bits(value, eager.tensors()[name]) for name, value in compiled.tensors().items())


@given(data=st.data())
@quick
def test_zero_row_is_the_base_in_every_storage(tiny: Any, data: st.DataObject) -> None:
    """Whatever the storage, a table of zeros is the base, bit for bit; and one-hot rows stay finite."""
    world = data.draw(worlds(tiny))
    live = world.live(storage=data.draw(st.sampled_from(STORAGES)))
    live.write(world.table(np.eye(len(world.members))[0]))
    assert all(torch.isfinite(value).all() for value in live.tensors().values())
    live.write(world.table(0.0))
    assert all(tiny.same_bits(value, world.base[name]) for name, value in tiny.weights(live).items())


@given(data=st.data())
@quick
def test_only_the_last_table_counts(tiny: Any, data: st.DataObject) -> None:
    """Writing c₁ and then c₂ equals writing c₂ on a fresh model, also when c₁ scaled the base."""
    world = data.draw(worlds(tiny))
    storage = data.draw(st.sampled_from(STORAGES))
    live, fresh = world.live(storage=storage), world.live(storage=storage)
    first, second = data.draw(coefficients(world)), data.draw(coefficients(world))
    live.write(world.table(first.members, base=[0.5 + n for n in range(len(world.groups))]))
    live.write(second)
    fresh.write(second)
    for name, value in fresh.tensors().items():
        assert tiny.same_bits(tiny.weights(live)[name], value)


@given(data=st.data())
@quick
def test_result_is_the_linear_combination(tiny: Any, data: st.DataObject) -> None:
    """Equal to fp64 arithmetic after one rounding to the live dtype, for any row and any scale of the base."""
    world = data.draw(worlds(tiny, kinds=("normal", "mixed", "zero")))
    live = world.live(storage=data.draw(st.sampled_from(LOSSLESS)))
    table = world.table(data.draw(coefficients(world)).members, base=data.draw(st.sampled_from([None, [0.7]])))
    if len(table.base) != len(world.groups):
        table = world.table(table.members, base=[0.7] * len(world.groups))
    live.write(table)
    for name, exact in world.merged(table).items():
        terms = [world.base[name].double().abs(), *(2 * m[name].double().abs() for m in world.members)]
        slack = 4e-7 * float(sum(t.max() for t in terms)) if exact.numel() else 0.0
        assert tiny.one_rounding(tiny.weights(live)[name], exact, slack)


@pytest.mark.fp64
@given(data=st.data())
@quick
def test_merge_is_linear_in_the_table(tiny: Any, data: st.DataObject) -> None:
    """M(c) + M(c') − M(0) = M(c + c')."""
    world = data.draw(worlds(tiny, dtypes=(torch.float64,), kinds=("normal",)))
    live = world.live()
    left, right = data.draw(coefficients(world)), data.draw(coefficients(world))
    results = []
    for table in (left, right, world.table(0.0), world.table(left.members + right.members)):
        live.write(table)
        results.append(tiny.weights(live))
    for name in world.base:
        one, other, zero, both = (result[name] for result in results)
        torch.testing.assert_close(one + other - zero, both, rtol=0, atol=1e-12)


@pytest.mark.fp64
@given(data=st.data())
@quick
def test_order_of_members_does_not_matter(tiny: Any, data: st.DataObject) -> None:
    """Members and columns permuted alike give the same weights, to the rounding of a sum."""
    world = data.draw(worlds(tiny, dtypes=(torch.float64,), kinds=("normal",)))
    order = data.draw(st.permutations(range(len(world.members))))
    other = tiny.World(world.base, [world.members[n] for n in order], world.groups)
    table = data.draw(coefficients(world))
    live, permuted = world.live(), other.live()
    live.write(table)
    permuted.write(world.table(table.members[:, order]))
    for name, value in tiny.weights(live).items():
        torch.testing.assert_close(tiny.weights(permuted)[name], value, rtol=0, atol=1e-12)


@given(data=st.data())
@quick
def test_duplicates_add_up(tiny: Any, data: st.DataObject) -> None:
    """A member given twice: half and half is the member itself; one and one is twice its delta."""
    world = data.draw(worlds(tiny, kinds=("normal",)))
    twice = tiny.World(world.base, [world.members[0], world.members[0]], world.groups)
    once = tiny.World(world.base, [world.members[0]], world.groups)
    live, single = twice.live(), once.live()
    for pair, alone in (([0.5, 0.5], 1.0), ([1.0, 1.0], 2.0), ([2.0, -1.0], 1.0)):
        live.write(twice.table(pair))
        single.write(once.table(alone))
        for name, value in tiny.weights(single).items():
            largest = torch.maximum(value.abs(), world.base[name].abs()).double()  # only the single one is patched
            assert tiny.one_rounding(tiny.weights(live)[name], value, torch.finfo(value.dtype).eps * largest)


@pytest.mark.parametrize("sigma", [1e-3, 2e-4])
def test_fp16_deltas_give_nearly_all_bf16_members_back(tiny: Any, sigma: float) -> None:
    """About 99.8 % of bf16 weights of σ = 0.02 come back bit for bit from fp16 deltas."""
    torch.manual_seed(0)
    base = (0.02 * torch.randn(1000, 1000)).bfloat16()
    member = (base.float() + sigma * torch.randn(1000, 1000)).bfloat16()
    world = tiny.World({"w": base}, [{"w": member}], tiny.groups_of({"w": 0}))
    live = world.live(storage="fp16")
    live.write(world.table(1.0))
    assert float((tiny.weights(live)["w"] == member).double().mean()) > 0.9975
