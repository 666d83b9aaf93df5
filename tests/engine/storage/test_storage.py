"""Storages: what each gives back, what it says it lost, how much it takes, and where sparse ones keep what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.engine import storage as room_of_storages
from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.source import Source
from mergesearch.engine.storage.delta import SparseDelta, TunedWeights, cut, dense, fetched, ones, part, tensors
from mergesearch.engine.storage.int8 import Int8
from mergesearch.engine.storage.storage import Column, Room, Storage, sum_dtype
from mergesearch.engine.tiers.device import DeviceTier
from mergesearch.engine.tiers.file import FileTier
from mergesearch.engine.transforms.trim import Trim
from mergesearch.plugins import load_plugin, plugin_names

STORAGES = plugin_names(room_of_storages.__name__, Storage)
DTYPES = [torch.float32, torch.bfloat16, pytest.param(torch.float64, marks=pytest.mark.fp64)]


def storage_of(name: str) -> Storage:
    return load_plugin(name, room_of_storages.__name__, Storage)()


def room(device: torch.device, blocks: int, dtype: torch.dtype = torch.bfloat16, tier: Any = None) -> Room:
    return Room(blocks, dtype, device, tier or DeviceTier())


def some_deltas(seed: int, blocks: int, dtype: torch.dtype, density: float = 0.3) -> torch.Tensor:
    """Blocks of many magnitudes, subnormal ones too; some without anything, one with a single weight."""
    generator = torch.Generator().manual_seed(seed)
    deltas = torch.randn(blocks, BLOCK, generator=generator, dtype=torch.float64)
    deltas *= torch.exp2(torch.randint(-140, 20, (blocks, 1), generator=generator).double())
    deltas[torch.rand(deltas.shape, generator=generator) >= density] = 0
    deltas[:: max(2, blocks // 3)] = 0
    deltas[-1] = 0
    deltas[-1, BLOCK - 1] = 3e-5
    return deltas.to(sum_dtype(dtype))


def kept(column: Column, deltas: torch.Tensor, step: int = 3, skipped: int = -1) -> Any:
    """Put the blocks, `step` at a time, but for those that begin at `skipped`."""
    for first in range(0, len(deltas), step):
        if first != skipped:
            column.put(first, deltas[first : first + step])
    return column.finish()


def restored(delta: Any, column: Column, dtype: torch.dtype) -> torch.Tensor:
    base = torch.zeros(len(column.scales), BLOCK, dtype=dtype, device=column.scales.device)
    return (dense(delta, base, sum_dtype(dtype)) * column.scales[:, None]).cpu()


def test_storages_are_found_by_their_files() -> None:
    assert STORAGES == ["exact", "fp16", "int8", "sparse", "sparse_exact"]
    assert [name for name in STORAGES if storage_of(name).lossless] == ["exact", "sparse_exact"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", STORAGES)
@given(seed=st.integers(0, 2**20), blocks=st.integers(1, 11))
@settings(max_examples=15, deadline=None)
def test_what_is_read_back_is_what_was_put(
    device: torch.device, name: str, dtype: torch.dtype, seed: int, blocks: int
) -> None:
    """To the bit, or within half a unit of the storage's numbers; zeros, and blocks that were never put, are zero."""
    storage, deltas = storage_of(name), some_deltas(seed, blocks, dtype)
    column = storage.column(room(device, blocks, dtype))
    skipped = seed % 4
    back = restored(kept(column, deltas.to(device), skipped=skipped), column, dtype)
    if not skipped % 3 and skipped < blocks:
        deltas[skipped : skipped + 3] = 0
    largest = deltas.abs().amax(dim=1, keepdim=True)
    tiny = torch.finfo(deltas.dtype).tiny
    unit = {"int8": (largest / 127).clamp(min=tiny), "fp16": deltas.abs() * 2.0**-10 + (largest * 2.0**-38)}
    unit["sparse"] = unit["fp16"]
    allowed = 0.5 * unit.get(name, torch.zeros(())) * (1 + 1e-4) + (0 if storage.lossless else tiny)
    assert bool(((back - deltas).abs() <= allowed).all())
    assert not back[deltas == 0].any()
    assert bool((column.scales > 0).all())
    lost, total = ((value.double() ** 2).sum() for value in (back - deltas, deltas))
    expected = (0, 0) if storage.lossless else (float(lost), float(total))
    assert (column.lost, column.total) == pytest.approx(expected, rel=1e-5), "devices without fp64 sum in fp32"


def test_int8_by_hand(device: torch.device) -> None:
    """The largest magnitude becomes 127, halves go to the even neighbour, and a block of zeros has scale 1."""
    deltas = torch.zeros(2, BLOCK, device=device)
    deltas[0, :6] = torch.tensor([-254.0, 254.0, 1.0, 3.0, 1.1, -200.7])
    codes, scales = Int8().encode(deltas)
    assert scales.tolist() == [2, 1]
    assert codes[0, :7].tolist() == [-127, 127, 0, 2, 1, -100, 0]
    assert codes.dtype == torch.int8


@given(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=50))
def test_bits_are_counted(words: list[int]) -> None:
    counted = ones(torch.tensor(words, dtype=torch.int32)).tolist()
    assert counted == [(word & 0xFFFFFFFF).bit_count() for word in words]


@pytest.mark.parametrize("density", [0.0, 0.01, 0.2, 1.0])
def test_sparse_format(device: torch.device, density: float) -> None:
    """Mask, ranks and starts are what NumPy counts; the values are those that are kept, in their order."""
    deltas = torch.rand(5, BLOCK, generator=torch.Generator().manual_seed(0)) + 1
    deltas[torch.rand(5, BLOCK, generator=torch.Generator().manual_seed(1)) >= density] = 0
    delta = kept(storage_of("sparse_exact").column(room(device, 5)), deltas.to(device))
    mask, starts, ranks, values = (tensor.cpu().numpy() for tensor in delta)
    flags = np.unpackbits(mask.view(np.uint8), bitorder="little").astype(np.int64)
    assert np.array_equal(flags, (deltas != 0).numpy().ravel())
    before = np.cumsum(flags) - flags
    assert np.array_equal(starts.ravel(), before[::256])
    assert np.array_equal(ranks.ravel(), before[::32] - np.repeat(before[::256], 8))
    assert np.array_equal(values, [*deltas[deltas != 0].tolist(), 0, 0])


@pytest.mark.parametrize("name", STORAGES)
@pytest.mark.parametrize("file", [False, True])
def test_blocks_are_found_on_their_own(device: torch.device, name: str, file: bool) -> None:
    """As views, cut out with their own values only, and copied to a device, from either tier."""
    deltas = some_deltas(3, 11, torch.bfloat16)
    column = storage_of(name).column(room(device, 11, tier=FileTier.temporary() if file else None))
    delta = kept(column, deltas if file else deltas.to(device))
    zeros = torch.zeros(11, BLOCK, dtype=torch.bfloat16, device=tensors(delta)[0].device)
    whole = dense(delta, zeros, torch.float32)
    for start, stop in ((0, 11), (0, 1), (2, 7), (10, 11), (4, 4)):
        for some in (part(delta, start, stop), cut(delta, start, stop), fetched(delta, start, stop, zeros.device)):
            assert torch.equal(dense(some, zeros[start:stop], torch.float32), whole[start:stop])
    if isinstance(delta, SparseDelta):
        assert len(tensors(cut(delta, 2, 7))[3]) == int((deltas[2:7] != 0).sum()) + 2


def test_budget_of_sparse_deltas(device: torch.device) -> None:
    """At 20 % density: 0.4 bytes per weight for the values, and 0.172 for the mask and to find them."""
    deltas = torch.ones(200, BLOCK)
    deltas[torch.rand(200, BLOCK, generator=torch.Generator().manual_seed(0)) >= 0.2] = 0
    delta = kept(storage_of("sparse").column(room(device, 200)), deltas.to(device), step=50)
    assert sum(t.nbytes for t in tensors(delta)) / deltas.numel() == pytest.approx(0.572, abs=0.002)
    for name, most in (("exact", 4), ("fp16", 2), ("int8", 1), ("sparse", 2.171875), ("sparse_exact", 4.171875)):
        assert storage_of(name).bytes(torch.bfloat16) == most


def a_world(tiny: Any, sigma: float = 1e-3, dtype: torch.dtype = torch.bfloat16, size: int = 300_000) -> Any:
    """Two members near a base whose weights have σ = 0.02."""
    generator = torch.Generator().manual_seed(0)
    base = {"w": (0.02 * torch.randn(size, generator=generator)).to(dtype), "v": torch.ones(5000).to(dtype)}
    noise = [sigma * torch.randn(size, generator=generator) for _ in range(2)]
    members = [{**base, "w": (base["w"].float() + each).to(dtype)} for each in noise]
    return tiny.World(base, members, tiny.groups_of({"w": 0, "v": 0}))


@pytest.mark.parametrize(("sparse", "full"), [("sparse", "fp16"), ("sparse_exact", "exact")])
@pytest.mark.parametrize("transform", [None, Trim(0.2)])
def test_sparse_candidates_are_the_dense_ones(tiny: Any, sparse: str, full: str, transform: Any) -> None:
    """Bit for bit: only how zeros are kept differs. Several segments of different dtypes among them."""
    for dtype in (torch.bfloat16, torch.float32):
        world = a_world(tiny, dtype=dtype, size=50_000)
        one, other = (world.live(storage=name, transform=transform) for name in (sparse, full))
        for row in ([0.3, -0.7], [1.0, 0.0], [0.0, 0.0]):
            one.write(world.table(row))
            other.write(world.table(row))
            assert all(tiny.same_bits(value, other.tensors()[name]) for name, value in one.tensors().items())


@pytest.mark.parametrize("sigma", [2e-4, 1e-3, 5e-3, 2e-2])
def test_round_trips_in_their_published_order(tiny: Any, sigma: float) -> None:
    """Share of bf16 weights that come back: fp32, fp16, bf16, int8 per block, int8 per tensor, from all to few."""
    world = a_world(tiny, sigma, size=2_000_000)
    base, member = world.base["w"], world.members[0]["w"]
    delta = member.float() - base.float()
    scale = delta.abs().max() / 127
    whole = {"bf16": delta.bfloat16().float(), "int8 per tensor": (delta / scale).round() * scale}
    share = {name: float(((base.float() + d).bfloat16() == member).double().mean()) for name, d in whole.items()}
    for name in ("exact", "fp16", "int8"):
        live = world.live(storage=name)
        live.write(world.table([1.0, 0.0]))
        share[name] = float((tiny.weights(live)["w"] == member).double().mean())
    assert share["exact"] == 1.0 > share["fp16"] > share["bf16"] > share["int8"] > share["int8 per tensor"]
    published = {2e-4: (0.9996, 0.9967, 0.973), 1e-3: (0.9981, 0.9834, 0.848), 5e-3: (0.9911, 0.922, 0.427)}
    published[2e-2] = (0.981, 0.814, 0.163)
    found = [share[name] for name in ("fp16", "bf16", "int8 per tensor")]
    assert found == pytest.approx(published[sigma], abs=0.035)  # int8 per tensor hangs on its largest delta


def test_one_large_delta_spoils_no_more_than_its_block(tiny: Any) -> None:
    """int8 with a scale per block loses an eighth of what it would with one per tensor, where one delta stands out."""
    world = a_world(tiny, dtype=torch.float32)
    world.members[0]["w"][150_000] += 0.2
    delta = world.members[0]["w"] - world.base["w"]
    scale = delta.abs().max() / 127
    per_tensor = ((delta / scale).round() * scale - delta).norm()
    per_block = world.bank(storage="int8").errors["a"] * delta.norm()
    assert float(per_block) < 0.125 * float(per_tensor)


def test_bank_states_what_was_lost(tiny: Any) -> None:
    """‖d − d̂‖ / ‖d‖ per member, from the weights that come back; one line names the largest; nothing where exact."""
    world = a_world(tiny)
    for name in ("fp16", "int8", "sparse"):
        bank = world.bank(storage=name)
        (segment,) = bank.segments
        for column, (member, label) in enumerate(zip(world.members, "ab", strict=True)):
            exact = member["w"].double() - world.base["w"].double()
            codes = dense(segment.deltas[column], segment.base[: segment.active], torch.float32)
            back = (codes * segment.scales[:, column : column + 1]).cpu().double().view(-1)[: exact.numel()]
            assert bank.errors[label] == pytest.approx(float((back - exact).norm() / exact.norm()), rel=1e-4)
        worst = max(bank.errors.values())
        assert bank.loss.startswith(f"{name} deltas, relative error: a {bank.errors['a']:.1e}, b ")
        assert f"; largest {worst:.1e} (" in bank.loss
    for name in ("exact", "sparse_exact"):
        assert (world.bank(storage=name).errors, world.bank(storage=name).loss) == ({"a": 0.0, "b": 0.0}, "")


def test_exact_16_bit_deltas_take_16_bits(tiny: Any) -> None:
    """The member's own weights stand for its deltas, but not where these follow from something else than the base."""
    world = a_world(tiny)
    member, target = world.members[0], tiny.target_of(world.base)
    anchor = Source("anchor", tiny.MemoryCheckpoint({**world.base, "w": world.base["w"] / 2}), target)
    wide = {**member, "w": member["w"].float() + 1e-6}
    (plain, _), options = world.sources(), BankOptions()
    others = {
        "anchored": (Member("a", plain.source, anchor), options),
        "wider": (Member("a", Source("a", tiny.MemoryCheckpoint(wide), target)), options),
        "transformed": (plain, BankOptions("exact", Trim(0.5))),
        "rounded": (plain, BankOptions("fp16")),
    }
    assert options.keeps_weights(plain, world.base, torch.bfloat16)
    for name, (other, how) in others.items():
        assert not how.keeps_weights(other, world.base, torch.bfloat16), name
    (segment,) = world.bank().segments
    assert all(isinstance(delta, TunedWeights) for delta in segment.deltas)
    (segment,) = world.bank(transform=Trim(0.5)).segments
    assert all(isinstance(delta, torch.Tensor) and delta.dtype == torch.float32 for delta in segment.deltas)


def test_members_that_share_tensors_with_the_base(tiny: Any) -> None:
    """Each changes another tensor of several pieces, partly: what it shares is the base in every storage."""
    generator = torch.Generator().manual_seed(0)
    base = {name: torch.randn(300_000, generator=generator).bfloat16() for name in "uvw"}
    members = [{**base, name: base[name].clone()} for name in "vw"]
    for name, member in zip("vw", members, strict=True):
        member[name][290_000:] += 1
    world = tiny.World(base, members, tiny.groups_of(dict.fromkeys(base, 0)))
    for storage in STORAGES:
        live = world.live(storage=storage)
        live.write(world.table([1.0, 0.0]))
        for name, value in tiny.weights(live).items():
            near = (value.float() - members[0][name].float()).abs().max() <= 0.02
            assert tiny.same_bits(value, members[0][name]) if name != "v" or "exact" in storage else near


def test_identity_does_not_hang_on_the_storage(tiny: Any) -> None:
    """The content is the same, the fingerprints differ; torch has as many threads as before."""
    world, threads = a_world(tiny, size=10_000), torch.get_num_threads()
    banks = [world.bank(storage=name) for name in STORAGES]
    assert len({bank.content for bank in banks}) == 1
    assert len({bank.fingerprint for bank in banks}) == len(STORAGES)
    assert torch.get_num_threads() == threads
