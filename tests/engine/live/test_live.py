"""The live model: parameters are views, untouched tensors stay untouched, and bad tables change nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mergesearch.engine.bank.bank import build_bank
from mergesearch.engine.bank.member import Member
from mergesearch.engine.checkpoints.source import Source
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.errors import InputError
from mergesearch.spaces.table import CoefficientTable


@pytest.fixture
def world(tiny: Any) -> Any:
    """Three tensors of two dtypes in two groups: `still` is changed by nobody."""
    torch.manual_seed(0)
    base = {"w": torch.randn(5, 7), "u": torch.randn(9).bfloat16(), "still": torch.randn(4)}
    members = [{**base, "w": base["w"] + torch.randn(5, 7)}, {**base, "u": torch.randn(9).bfloat16()}]
    return tiny.World(base, members, tiny.groups_of({"w": 0, "u": 1, "still": 1}))


def test_parameters_are_views_that_keep_their_identity(world: Any) -> None:
    """An optimizer or a hook that holds the parameter sees every candidate."""
    live = world.live()
    parameter = live.model.get_parameter("w")
    storage = parameter.data_ptr()
    live.write(world.table(1.0))
    assert live.model.get_parameter("w") is parameter
    assert parameter.data_ptr() == storage
    assert parameter.requires_grad
    assert torch.equal(parameter.cpu(), world.members[0]["w"])


def test_unchanged_tensors_are_not_written(world: Any, tiny: Any) -> None:
    """A poisoned value survives writing, until the base itself is scaled; then back at c₀ = 1 the base returns."""
    live = world.live()
    live.tensors()["still"].fill_(42.0)
    live.write(world.table(0.3))
    assert (tiny.weights(live)["still"] == 42.0).all()
    live.write(world.table(0.3, base=[1.0, 0.5]))
    assert torch.equal(tiny.weights(live)["still"], 0.5 * world.base["still"])
    live.write(world.table(0.3))
    assert torch.equal(tiny.weights(live)["still"], world.base["still"])


@pytest.mark.parametrize(
    ("rows", "base", "text"),
    [
        (np.zeros((3, 2)), None, "is 3 x 2 with 3 numbers for the base, but there are 2 groups and 2 members"),
        (np.zeros((2, 1)), None, "is 2 x 1"),
        (np.zeros(2), None, "is 2 with"),
        (np.zeros((2, 2)), np.ones(3), "is 2 x 2 with 3 numbers for the base"),
        (np.full((2, 2), np.nan), None, "holds nan"),
        (np.array([[0, np.inf], [0, 0]]), None, "holds inf"),
        (np.full((2, 2), 1e39), None, "holds 1e.39, no finite fp32 number"),
        (np.zeros((2, 2)), np.array([1.0, np.nan]), "holds nan"),
    ],
)
def test_bad_tables_are_refused_and_change_nothing(world: Any, tiny: Any, rows: Any, base: Any, text: str) -> None:
    live = world.live()
    live.write(world.table(0.7))
    before = tiny.weights(live)
    with pytest.raises(InputError, match=text):
        live.write(CoefficientTable(rows, np.ones(len(rows)) if base is None else base))
    assert all(tiny.same_bits(value, before[name]) for name, value in live.tensors().items())


def test_grouping_must_name_every_tensor(world: Any, tiny: Any) -> None:
    with pytest.raises(InputError, match=r"no group for tensor 'u'"):
        LiveModel(tiny.Bag(world.placed()), world.bank(), tiny.groups_of({"w": 0, "still": 0}))


def test_buffers_are_merged_and_integers_left_alone(tiny: Any) -> None:
    """Running statistics of a batch norm merge like weights; its counter stays."""
    model = tiny.normed()
    model.norm.num_batches_tracked.fill_(17)
    base = {name: value.detach().clone() for name, value in floating_tensors(model).items()}
    member = {name: value + 1.0 for name, value in base.items()}
    world = tiny.World(base, [member], tiny.groups_of(dict.fromkeys(base, 0)))
    live = LiveModel(tiny.on(world.device, model), world.bank(), world.groups)
    live.write(world.table(1.0))
    assert model.norm.num_batches_tracked.item() == 17
    assert torch.equal(model.norm.running_var.cpu(), member["norm.running_var"])
    assert torch.equal(model.state_dict()["norm.running_mean"].cpu(), member["norm.running_mean"])


def test_tied_tensors_are_written_once_and_stay_tied(tiny: Any) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(6, 4)
            self.head = nn.Linear(4, 6, bias=False)
            self.head.weight = self.embed.weight

    model = Tied()
    base = {name: value.detach().clone() for name, value in floating_tensors(model).items()}
    assert list(base) == ["embed.weight"]
    world = tiny.World(base, [{"embed.weight": base["embed.weight"] + 1}], tiny.groups_of({"embed.weight": 0}))
    live = LiveModel(tiny.on(world.device, model), world.bank(), world.groups)
    live.write(world.table(0.5))
    assert model.head.weight is model.embed.weight
    torch.testing.assert_close(model.head.weight.cpu(), base["embed.weight"] + 0.5)


def test_parameters_with_gaps_are_bound(tiny: Any) -> None:
    """A transposed parameter takes its values, whatever its strides were."""
    base = {"w": torch.randn(6, 4)}
    model = nn.Module()
    model.w = nn.Parameter(torch.randn(4, 6).T)
    world = tiny.World(base, [{"w": base["w"] + 1}], tiny.groups_of({"w": 0}))
    live = LiveModel(tiny.on(world.device, model), world.bank(), world.groups)
    assert torch.equal(model.w.cpu(), base["w"])
    live.write(world.table(1.0))
    torch.testing.assert_close(model.w.detach().cpu(), base["w"] + 1)


@pytest.mark.parametrize("transform", [None, "ties"])
def test_a_checkpoint_can_be_written_as_it_stands_on_disk(world: Any, tiny: Any, transform: str | None) -> None:
    """Bit for bit, whatever the bank's transform; afterwards any table gives what it gave before."""
    from mergesearch.engine.transforms.ties import Ties

    live = world.live(transform=Ties(0.5) if transform else None)
    live.write(world.table(0.4))
    before = tiny.weights(live)
    for member, tensors in zip(world.sources(), world.members, strict=True):
        live.write_source(member.source)
        assert all(tiny.same_bits(value, tensors[name]) for name, value in live.tensors().items())
    live.write(world.table(0.4))
    assert all(tiny.same_bits(value, before[name]) for name, value in live.tensors().items())


def test_a_member_with_an_anchor_leaves_no_trace(world: Any, tiny: Any) -> None:
    """Where a member equals its own ancestor but not the base, its delta is zero, yet the file's tensor differs."""
    target = tiny.target_of(world.base)
    own = {**world.members[0], "still": world.base["still"] + 1}
    anchor = {**world.base, "still": world.base["still"] + 1}
    sources = [Source(name, tiny.MemoryCheckpoint(value), target) for name, value in (("a", own), ("anchor", anchor))]
    members = [Member("a", sources[0], sources[1])]
    live = LiveModel(tiny.Bag(world.placed()), build_bank(world.placed(), members), world.groups)
    live.write_source(sources[0])
    assert torch.equal(tiny.weights(live)["still"], own["still"])
    live.write(CoefficientTable.tied(np.ones(1), 2))
    assert torch.equal(tiny.weights(live)["still"], world.base["still"])
    torch.testing.assert_close(tiny.weights(live)["w"], own["w"])


@pytest.mark.parametrize("kernel", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
def test_a_batch_is_written_as_its_candidates_one_by_one(world: Any, kernel: str) -> None:
    """Bit for bit, with scaled bases and vertices among them, and without touching the live weights."""
    live = world.live(kernel)
    tables = [world.table(0.3), world.table([1.0, 0.0]), world.table([0.2, -0.7], base=[0.5, 1.0]), world.table(0.0)]
    copies = live.copies(len(tables))
    live.write(world.table(0.9))
    before = {name: value.clone() for name, value in live.tensors().items()}
    live.write_batch(tables, copies)
    assert all(torch.equal(before[name], value) for name, value in live.tensors().items())
    for table, copy in zip(tables, copies, strict=True):
        live.write(table)
        alone = {name: value.clone() for name, value in live.tensors().items()}
        with live.showing(copy) as model:
            assert all(torch.equal(alone[name], value) for name, value in floating_tensors(model).items())
        assert all(torch.equal(alone[name], value) for name, value in live.tensors().items())


def test_copies_written_again_forget_a_scaled_base(world: Any) -> None:
    """Tensors that no member changes come back, in that copy."""
    live = world.live()
    copies = live.copies(2)
    live.write_batch([world.table(0.3, base=[2.0, 2.0]), world.table(0.3)], copies)
    live.write_batch([world.table(0.1), world.table(0.2, base=[3.0, 3.0])], copies)
    for copy, factor in zip(copies, (1.0, 3.0), strict=True):
        with live.showing(copy) as model:
            assert torch.equal(model.get_parameter("still").cpu(), factor * world.base["still"])


def test_several_live_models_share_one_read(world: Any, tiny: Any) -> None:
    """Two modules of one bank; each shows its own candidate."""
    bank = world.bank()
    first, second = (LiveModel(tiny.Bag(world.placed()), bank, world.groups) for _ in range(2))
    first.write_batch([world.table([1.0, 0.0]), world.table([0.0, 1.0])], [first.weights, second.weights])
    assert torch.equal(tiny.weights(first)["w"], world.members[0]["w"])
    assert torch.equal(tiny.weights(second)["u"], world.members[1]["u"])


def test_a_bad_table_in_a_batch_changes_no_copy(world: Any) -> None:
    """Not even those before it."""
    live = world.live()
    copies = live.copies(2)
    with pytest.raises(InputError, match="holds nan, no finite fp32 number"):
        live.write_batch([world.table(0.3), world.table(np.nan)], copies)
    with live.showing(copies[0]) as model:
        assert torch.equal(model.get_parameter("w").cpu(), world.base["w"])
