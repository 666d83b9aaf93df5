"""Building a bank: its identity, what it refuses, and how little it reads and holds."""

from __future__ import annotations

import subprocess
import sys
import weakref
from typing import Any

import pytest
import torch

from mergesearch.engine.bank.bank import build_bank
from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.source import Source
from mergesearch.engine.transforms.dare import Dare
from mergesearch.errors import CheckpointError, InputError


def a_world(tiny: Any, seed: int = 0, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(seed)
    base = {"w": torch.randn(50, 100).to(dtype), "v": torch.randn(7).to(dtype)}
    members = [{name: value + torch.randn_like(value) for name, value in base.items()} for _ in range(2)]
    return tiny.World(base, members, tiny.groups_of({"w": 0, "v": 0}))


def test_fingerprint_follows_what_determines_the_weights(tiny: Any) -> None:
    """Bytes of base, member and anchor, storage, order and transform; the same again is the same."""
    world = a_world(tiny)
    (a, b), target = world.sources(), tiny.target_of(world.base)
    touched = {**world.members[1], "v": world.members[1]["v"].clone()}
    touched["v"][0] += 1e-6
    moved_base = {**world.base, "v": world.base["v"] + 1}
    anchors = [
        Source("anchor", tiny.MemoryCheckpoint({**world.base, "w": world.base["w"] + n}), target) for n in (1, 2)
    ]
    banks = {
        "plain": build_bank(world.base, [a, b]),
        "order": build_bank(world.base, [b, a]),
        "fewer": build_bank(world.base, [a]),
        "fp16": build_bank(world.base, [a, b], BankOptions("fp16")),
        "dare": build_bank(world.base, [a, b], BankOptions("exact", Dare(0.5, 0))),
        "dare of another seed": build_bank(world.base, [a, b], BankOptions("exact", Dare(0.5, 1))),
        "bytes": tiny.World(world.base, [world.members[0], touched], world.groups).bank(),
        "base": tiny.World(moved_base, world.members, world.groups).bank(),
        "anchor": build_bank(world.base, [Member("a", a.source, anchors[0]), b]),
        "other anchor": build_bank(world.base, [Member("a", a.source, anchors[1]), b]),
        "dare, anchor": build_bank(world.base, [Member("a", a.source, anchors[0]), b], BankOptions("exact", Dare())),
        "dare, other": build_bank(world.base, [Member("a", a.source, anchors[1]), b], BankOptions("exact", Dare())),
    }
    assert len({bank.fingerprint for bank in banks.values()}) == len(banks)
    assert build_bank(world.base, [a, b]).fingerprint == banks["plain"].fingerprint


ANOTHER_PROCESS = """
import sys
from mergesearch.plugins import load_object
tiny = sys.modules[load_object(sys.argv[1] + ":World").__module__]
a_world = load_object(sys.argv[2] + ":a_world")
print(a_world(tiny).bank().fingerprint)
"""


def test_fingerprint_is_the_same_in_another_process(tiny: Any) -> None:
    command = [sys.executable, "-c", ANOTHER_PROCESS, tiny.__file__, __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == a_world(tiny).bank().fingerprint


@pytest.mark.parametrize(("value", "text"), [(float("nan"), "holds NaN"), (float("inf"), "holds infinite values")])
def test_members_that_are_not_finite_are_refused_by_name(tiny: Any, value: float, text: str) -> None:
    world = a_world(tiny)
    world.members[1]["w"][3, 3] = value
    with pytest.raises(CheckpointError, match=f"member 'b': tensor 'w' {text}"):
        world.bank()


def test_base_that_is_not_finite_is_refused(tiny: Any) -> None:
    world = a_world(tiny)
    world.base["v"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"base's tensor 'v' holds NaN or infinite values as torch.float32"):
        world.bank()


def test_weights_beyond_the_live_dtype_are_refused(tiny: Any) -> None:
    """A float32 member whose weights are infinite in the base's float16."""
    world = a_world(tiny, dtype=torch.float16)
    world.members[1]["w"] = world.members[1]["w"].float() * 1e6
    with pytest.raises(CheckpointError, match=r"member 'b': tensor 'w' exceeds the range of torch.float16"):
        world.bank()


def test_deltas_beyond_their_dtype_are_refused(tiny: Any) -> None:
    """Two finite weights whose difference is not."""
    world = tiny.World({"w": torch.full((3,), -3e38)}, [{"w": torch.full((3,), 3e38)}], tiny.groups_of({"w": 0}))
    with pytest.raises(CheckpointError, match=r"member 'a': the delta of 'w' exceeds the range of torch.float32"):
        world.bank()


def test_no_members_and_unknown_storage_are_refused(tiny: Any) -> None:
    with pytest.raises(InputError, match=r"no members to merge"):
        build_bank(a_world(tiny).base, [])
    with pytest.raises(InputError, match=r"nothing called 'int4' in storage; .*int8"):
        BankOptions("int4")


def test_identical_members_are_named(tiny: Any) -> None:
    world = a_world(tiny)
    same = tiny.World(world.base, [world.members[0], dict(world.base)], world.groups)
    assert same.bank().identical == ("b",)
    assert same.bank(transform=Dare(0.5)).identical == ("b",)
    assert world.bank().identical == ()


def test_twins_are_named(tiny: Any) -> None:
    world = a_world(tiny)
    first, second = world.members[:2]
    others = [first, dict(world.base), dict(first), second, dict(first)]
    assert tiny.World(world.base, others, world.groups).bank().twins == (("a", "c"), ("a", "e"))
    assert tiny.World(world.base, others, world.groups).bank(transform=Dare(0.5)).twins == (("a", "c"), ("a", "e"))
    assert world.bank().twins == ()


def test_members_of_another_dtype_are_rounded_only_once(tiny: Any) -> None:
    """A bf16 member of a float32 base, and a float32 member of a bf16 base whose unchanged tensors stay unchanged."""
    torch.manual_seed(0)
    wide = {"w": torch.randn(300), "v": torch.randn(300)}
    narrow = {name: value.bfloat16() for name, value in wide.items()}
    tuned = {**wide, "w": wide["w"] + 0.1 * torch.randn(300)}
    for base, member in ((wide, {**wide, "w": tuned["w"].bfloat16()}), (narrow, tuned)):
        world = tiny.World(base, [member], tiny.groups_of({"w": 0, "v": 0}))
        live = world.live()
        assert live.bank.segments[0].changed == {"w"}
        live.write(world.table(1.0))
        assert torch.equal(tiny.weights(live)["w"], member["w"].to(base["w"].dtype))
        live.write(world.table(0.5))
        assert tiny.one_rounding(tiny.weights(live)["w"], world.merged(world.table(0.5))["w"], 1e-7)


def test_no_two_tensors_of_a_member_are_held_at_once(tiny: Any) -> None:
    """Building streams: when a member's tensor is read, those of it that were read before are gone."""
    most: list[int] = []

    class Watched(tiny.MemoryCheckpoint):  # type: ignore[misc]  # the base comes from a fixture
        def __init__(self, tensors: dict[str, torch.Tensor]) -> None:
            super().__init__(tensors)
            self.alive: list[weakref.ref[torch.Tensor]] = []

        def read(self, name: str) -> torch.Tensor:
            value: torch.Tensor = super().read(name)
            self.alive = [reference for reference in [*self.alive, weakref.ref(value)] if reference() is not None]
            most.append(len(self.alive))
            return value

    world = a_world(tiny)
    target = tiny.target_of(world.base)
    members = [Member(f"m{n}", Source(f"m{n}", Watched(value), target)) for n, value in enumerate(world.members * 3)]
    build_bank(world.base, members)
    assert max(most) == 1


def test_only_changed_tensors_take_space(tiny: Any) -> None:
    """Deltas of unchanged tensors are not stored, and those of an unchanged member neither."""
    base = {f"t{n}": torch.randn(BLOCK) for n in range(8)}
    member = {**base, "t5": base["t5"] + 1}
    bank = tiny.World(base, [member, dict(base)], tiny.groups_of(dict.fromkeys(base, 0))).bank()
    (segment,) = bank.segments
    assert (segment.active, segment.columns, len(segment.deltas)) == (1, (0,), 1)
    assert bank.bytes == 4 * BLOCK * 9 + 4
    assert bank.names[0] == "t5"
