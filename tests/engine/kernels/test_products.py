"""Products of gradients with deltas: every storage, shape and kernel against sums in double precision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from mergesearch.engine.bank.bank import DeltaBank, build_bank
from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.adapter import LowRank
from mergesearch.engine.devices.devices import HOST
from mergesearch.engine.kernels.products import add_products, factored_products
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.live.segment_gradient import SegmentGradient
from mergesearch.engine.storage.delta import dense, fetched
from mergesearch.engine.tiers.file import FileTier


class Products(torch.nn.Module):
    """Parameters whose gradients are given: the loss is their product with them."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(7)
        for name, shape in shapes.items():
            self.register_parameter(name, torch.nn.Parameter(torch.randn(shape, generator=generator).to(dtype)))

    def loss(self, given: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Whose gradient of each parameter is the given one, in the parameter's dtype."""
        return sum(((getattr(self, name) * one).sum() for name, one in given.items()), 0.0)  # type: ignore[return-value]


# Shorter than a block, whole blocks, whole blocks and a rest, no elements, no dimensions, and many small ones in a row.
SHAPES = {
    "bias": (7,),
    "even": (32, 4096),
    "odd": (33, 4099),
    "none": (0, 3),
    "scalar": (),
    "norm": (129,),
    "long": (90001,),
}


@pytest.mark.parametrize("kernel", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
@pytest.mark.parametrize("storage", ["exact", "fp16", "int8", "sparse", "sparse_exact"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_storage_and_shape(tiny: Any, storage: str, dtype: torch.dtype, kernel: str) -> None:
    """Two backward passes against sums in double precision over what the bank holds."""
    if dtype == torch.float64 and storage != "exact":
        pytest.skip("one storage is enough for it")
    model = Products(SHAPES, dtype)
    generator = torch.Generator().manual_seed(3)
    base = {name: p.detach().clone() for name, p in model.named_parameters()}
    members = [
        {n: (b.double() + torch.randn(b.shape, generator=generator).double() * 1e-2).to(dtype) for n, b in base.items()}
        for _ in range(3)
    ]
    members[1]["odd"] = base["odd"].clone()
    groups = tiny.groups_of({name: place % 3 for place, name in enumerate(SHAPES)})
    bank = tiny.World(base, members, groups).bank(storage=storage)
    live = LiveModel(tiny.on(tiny.device, model), bank, groups, kernel)
    batches = [
        {name: torch.randn(p.shape, generator=generator).to(dtype) for name, p in base.items()} for _ in range(2)
    ]
    with live.pullback() as gradient:
        for given in batches:
            model.loss({name: one.to(tiny.device) for name, one in given.items()}).backward()
            found = gradient.members
    expected = np.zeros((3, 3))
    for segment in bank.segments:
        for column, delta in zip(segment.columns, segment.deltas, strict=True):
            blocks = fetched(delta, 0, segment.active, HOST)
            scaled = dense(blocks, segment.base[: segment.active].to(HOST), torch.float64)
            scaled = scaled * segment.scales[:, [segment.columns.index(column)]].to(HOST).double()
            for slot in segment.slots:
                if slot.first < segment.active:
                    both = sum(given[slot.name].double() for given in batches)
                    expected[groups.of[slot.name], column] += float((both * slot.view(scaled)).sum())
    limit = 1e-14 if dtype == torch.float64 else 1e-6
    assert np.linalg.norm(found - expected) <= limit * np.linalg.norm(expected)
    np.testing.assert_array_equal(found, gradient.members)


def filled(tiny: Any, dtype: torch.dtype, **options: Any) -> DeltaBank:
    """A bank of two members, all tensors changed."""
    model, generator = Products(SHAPES, dtype), torch.Generator().manual_seed(5)
    base = {name: parameter.detach() for name, parameter in model.named_parameters()}
    members = [{n: b + torch.randn(b.shape, generator=generator).to(dtype) for n, b in base.items()} for _ in range(2)]
    world = tiny.World(base, members, tiny.groups_of(dict.fromkeys(SHAPES, 0)))
    return build_bank(base, world.sources(), BankOptions(), **options)


def taken(bank: DeltaBank, gradients: Mapping[str, torch.Tensor]) -> SegmentGradient:
    """The products of one gradient each, taken from the last tensor to the first."""
    (segment,) = bank.segments
    total = SegmentGradient(segment, add_products)
    for slot in reversed(total.slots):
        total.take(slot, gradients[slot.name])
    return total


def summed(tiny: Any, total: SegmentGradient) -> np.ndarray:
    found = np.zeros((1, 2))
    total.add_to(found, tiny.groups_of(dict.fromkeys(SHAPES, 0)))
    return found


@pytest.mark.parametrize("kind", ["strided", "half", "double", "sparse"])
def test_gradients_of_any_kind(tiny: Any, kind: str) -> None:
    """Other strides, other dtypes and rows alone give what the plain gradient gives."""
    bank = filled(tiny, torch.float32)
    plain = {name: torch.randn(shape, generator=torch.Generator().manual_seed(1)) for name, shape in SHAPES.items()}
    plain = {name: one.half().float() for name, one in plain.items()}
    other = {
        "strided": {name: one.mT.contiguous().mT if one.dim() == 2 else one for name, one in plain.items()},
        "half": {name: one.half() for name, one in plain.items()},
        "double": {name: one.double() for name, one in plain.items()},
        "sparse": {name: one.to_sparse() if one.dim() == 2 else one for name, one in plain.items()},
    }[kind]
    np.testing.assert_allclose(summed(tiny, taken(bank, other)), summed(tiny, taken(bank, plain)), rtol=1e-12)


def test_a_mapped_file_gives_the_same(tiny: Any, tmp_path: Path) -> None:
    gradients = {name: torch.randn(shape) for name, shape in SHAPES.items()}
    in_file = filled(tiny, torch.float32, tier=FileTier.temporary(tmp_path))
    assert in_file.segments[0].tier.name == "file"
    expected = summed(tiny, taken(filled(tiny, torch.float32), gradients))
    np.testing.assert_array_equal(summed(tiny, taken(in_file, gradients)), expected)


@settings(max_examples=30, deadline=None)
@drawn(
    rows=st.integers(1, 300), columns=st.integers(1, 9000), ranks=st.lists(st.integers(1, 5), min_size=1, max_size=3)
)
def test_factors_give_what_their_dense_delta_gives(rows: int, columns: int, ranks: list[int]) -> None:
    generator = torch.Generator().manual_seed(rows + columns)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    gradient, factors = draw(columns, rows).T, [LowRank(draw(rows, r), draw(r, columns), 1.0) for r in ranks]
    found = factored_products(gradient, factors, torch.float64).split(ranks)
    for one, factor in zip(found, factors, strict=True):
        dense_delta = factor.up @ factor.down
        scale = float(gradient.norm() * dense_delta.norm()) * max(ranks)
        assert abs(float(one.sum() - (gradient * dense_delta).sum())) <= 1e-12 * scale


@pytest.mark.fp64
@settings(max_examples=30, deadline=None)
@drawn(sizes=st.lists(st.integers(0, 40 * BLOCK), min_size=1, max_size=6))
def test_any_sizes(tiny: Any, sizes: list[int]) -> None:
    """Held or not, with or without a rest: every element is counted once."""
    base = {str(place): torch.zeros(size, dtype=torch.float64) for place, size in enumerate(sizes)}
    member = {name: torch.ones_like(value) for name, value in base.items()}
    groups = tiny.groups_of(dict.fromkeys(base, 0))
    (segment,) = tiny.World(base, [member], groups).bank().segments
    total, found = SegmentGradient(segment, add_products), np.zeros((1, 1))
    for slot in total.slots:
        total.take(slot, torch.ones(slot.shape, dtype=torch.float64, device=segment.device))
    total.add_to(found, groups)
    assert found[0, 0] == sum(sizes)
