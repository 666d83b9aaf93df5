"""Banks in all tiers: the same candidates bit for bit, and files that are used again only for the same models."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.engine.bank.bank import DeltaBank, build_bank
from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.source import Source
from mergesearch.engine.devices.memory import Memory
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.tiers import bank_file, streaming
from mergesearch.engine.tiers import choose as choosing
from mergesearch.engine.tiers.device import DeviceTier
from mergesearch.engine.tiers.file import FileTier
from mergesearch.engine.tiers.host import HostTier
from mergesearch.engine.tiers.keeping import Keeping
from mergesearch.engine.tiers.size import predicted_bytes
from mergesearch.engine.tiers.tier import Tier
from mergesearch.errors import InputError

STORAGES = ["exact", "fp16", "int8", "sparse"]
TIERS: dict[str, Callable[[], Tier]] = {"host": HostTier, "file": FileTier.temporary}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 20 * BLOCK)


@pytest.fixture(scope="module")
def world(tiny: Any) -> Any:
    """Three members of three dtypes' tensors of several blocks; one that nobody changes, one that is sparse."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"first": (90, 100), "middle": (70, 130), "same": (50, 100), "last": (3,)}
    dtypes = {"middle": torch.bfloat16}
    base = {n: tiny.random_tensor("normal", s, dtypes.get(n, torch.float32), generator) for n, s in shapes.items()}
    kinds = ("near", "sparse", "far")
    changed = [{n: tiny.fine_tuned(kind, t, None, generator) for n, t in base.items()} for kind in kinds]
    for member in changed:
        member["same"] = base["same"].clone()
    return tiny.World(base, changed, tiny.groups_of({"first": 0, "middle": 1, "same": 1, "last": 2}))


def bound(tiny: Any, world: Any, tier: Tier, storage: str, kernel: str) -> LiveModel:
    bank = build_bank(world.placed(), world.sources(), BankOptions(storage), tier)
    return LiveModel(tiny.Bag(world.placed()), bank, world.groups, kernel)


def tables(world: Any) -> list[Any]:
    """Base, a member, the same with another coefficient in one group, a mixture, and one with the base scaled."""
    mixed = np.random.default_rng(0).normal(size=(3, 3))
    one = np.tile([0.0, 1.0, 0.0], (3, 1))
    return [world.table(rows) for rows in (np.zeros((3, 3)), one, one * [[2], [1], [1]], mixed)] + [
        world.table(mixed, [1.0, 0.5, 2.0])
    ]


@pytest.mark.parametrize("kernel", ["eager", pytest.param("compiled", marks=pytest.mark.slow)])
@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("tier", TIERS)
def test_candidates_are_those_of_the_device_tier(tiny: Any, world: Any, tier: str, storage: str, kernel: str) -> None:
    wanted = bound(tiny, world, DeviceTier(), storage, kernel)
    given = bound(tiny, world, TIERS[tier](), storage, kernel)
    assert given.bank.fingerprint == wanted.bank.fingerprint
    for table in tables(world):
        for live in (wanted, given):
            live.write(table)
        for name, value in tiny.weights(wanted).items():
            assert tiny.same_bits(tiny.weights(given)[name], value), name


@pytest.mark.parametrize("tier", TIERS)
def test_batches_and_gradients_are_those_of_the_device_tier(tiny: Any, world: Any, tier: str) -> None:
    found = []
    for where in (DeviceTier(), TIERS[tier]()):
        live = bound(tiny, world, where, "exact", "eager")
        copies = live.copies(3)
        live.write_batch(tables(world)[2:], copies)
        live.write(tables(world)[3])
        with live.pullback() as gradient:
            torch.stack([(p * p).float().sum() for p in live.model.parameters()]).sum().backward()
        found.append((copies, gradient.members))
    for left, right in zip(*(copies for copies, _ in found), strict=True):
        assert all(map(tiny.same_bits, left.buffers, right.buffers))
    assert np.array_equal(found[0][1], found[1][1])


def place(zoo: Path, folder: Path) -> Path:
    """A copy of the models, which a test may change."""
    return Path(shutil.copytree(zoo, folder / "zoo"))


@pytest.fixture
def models(tiny: Any, zoo: Path, tmp_path: Path) -> Callable[..., Any]:
    """Opens members (`a` and `b` unless given) of a copy of the zoo."""
    copied = place(zoo, tmp_path)
    return lambda *names: tiny.opened(copied, *(copied / name for name in names or "ab"))


def kept(models: Any, file: Path, storage: str = "exact") -> DeltaBank:
    bank: DeltaBank = models.build_bank(BankOptions(storage), Keeping(file=str(file)))
    return bank


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, whoever reads a tensor of a checkpoint fails."""

    def refuse(source: Source, name: str) -> torch.Tensor:
        raise AssertionError(f"{name} of {source.name} was read")

    return lambda: monkeypatch.setattr(Source, "read", refuse)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_later_run_opens_the_file(
    tiny: Any, models: Callable[..., Any], unread: Any, tmp_path: Path, storage: str
) -> None:
    file = tmp_path / "folder" / "kept.bank"
    candidates = []
    for round_ in range(2):
        opened = models()
        if round_:
            unread()
        bank = kept(opened, file, storage)
        live = opened.live(bank, tiny.groups_of(dict.fromkeys(bank.names, 0)))
        live.write(np_table(live))
        candidates.append((bank.fingerprint, tiny.weights(live)))
        assert (", which an earlier run built" in opened.place) == bool(round_)
    assert candidates[0][0] == candidates[1][0]
    assert all(tiny.same_bits(candidates[1][1][name], value) for name, value in candidates[0][1].items())
    assert sorted(path.name for path in file.parent.iterdir()) == ["kept.bank"]


def np_table(live: LiveModel) -> Any:
    from mergesearch.spaces.table import CoefficientTable

    return CoefficientTable.tied(np.array([0.3, 0.6]), len(live.groups))


def touch(file: Path) -> None:
    """Write the same bytes again."""
    file.write_bytes(file.read_bytes())


def restore_times(file: Path) -> None:
    """Another weight, under the old time of modification."""
    state, content = file.stat(), bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


@pytest.mark.parametrize("change", [touch, restore_times])
@pytest.mark.parametrize("of", ["base", "a"])
def test_files_that_have_changed_are_noticed(
    models: Callable[..., Any], tmp_path: Path, change: Callable[[Path], None], of: str
) -> None:
    file, weights = tmp_path / "kept.bank", tmp_path / "zoo" / of / "model.safetensors"
    kept(models(), file)
    change(weights)
    with pytest.raises(InputError, match=re.escape(f"the bank of other models: '{weights}' has changed since; delete")):
        kept(models(), file)


def test_a_bank_of_other_models_is_refused(models: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "kept.bank"
    kept(models(), file)
    text = "it is the bank of other models: "
    with pytest.raises(
        InputError, match=re.escape(f"{text}it holds the members a, b, and this run has b, a; delete it")
    ):
        kept(models("b", "a"), file)
    with pytest.raises(
        InputError, match=re.escape(f"{text}its option 'storage' is exact, and here it is fp16; delete")
    ):
        kept(models(), file, "fp16")
    bank = kept(models(), file)  # it was none of its faults
    assert bank.members == ("a", "b")


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size - 1)


def grow(file: Path) -> None:
    os.truncate(file, file.stat().st_size + 1)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def newer(file: Path) -> None:
    state = file.stat()
    file.write_bytes(file.read_bytes().replace(b'"format": 1', b'"format": 2', 1))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def damage_index(file: Path) -> None:
    state = file.stat()
    file.write_bytes(file.read_bytes().replace(b'"storage"', b'"sturage"', 1))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def replace(file: Path) -> None:
    file.write_text("notes")


@pytest.mark.parametrize(
    ("harm", "text"),
    [
        (
            truncate,
            r"the bank '.*' cannot be used: it has \d+ bytes of \d+; delete it, so that it is built anew, or give",
        ),
        (grow, r"it has \d+ bytes of \d+; delete it"),
        (flip, r"it was changed after it had been finished; delete it"),
        (newer, r"it is of format 2, and this mergesearch reads format 1; delete it"),
        (damage_index, r"its index is damaged; delete it"),
        (replace, r"'.*kept.bank' is no bank of mergesearch; give another models.bank"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused(
    models: Callable[..., Any], tmp_path: Path, harm: Callable[[Path], None], text: str
) -> None:
    file = tmp_path / "kept.bank"
    kept(models(), file)
    harm(file)
    before = file.read_bytes()
    with pytest.raises(InputError, match=text):
        kept(models(), file)
    assert file.read_bytes() == before  # it may be somebody's notes


def test_a_failure_leaves_nothing(models: Callable[..., Any], unread: Any, tmp_path: Path) -> None:
    opened = models()
    unread()
    with pytest.raises(AssertionError, match="was read"):
        kept(opened, tmp_path / "kept.bank")
    assert [path.name for path in tmp_path.iterdir()] == ["zoo"]


KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from mergesearch.engine.devices.devices import HOST
from mergesearch.engine.tiers.bank_file import drafting
with drafting(Path(sys.argv[1])) as draft:
    draft.tier.allocate(100, torch.float32, HOST).fill_(1)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_leaves_is_not_trusted(models: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "kept.bank"
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in sorted(tmp_path.glob("kept*"))] == ["kept.bank.draft"]
    kept(models(), file)
    kept(models(), file)
    assert [path.name for path in sorted(tmp_path.glob("kept*"))] == ["kept.bank"]


def test_two_runs_do_not_build_one_file(models: Callable[..., Any], tmp_path: Path) -> None:
    file = tmp_path / "kept.bank"
    with (tmp_path / "kept.bank.draft").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match=r"'.*kept.bank' is being built by another run; wait for it, or give"):
            kept(models(), file)
    kept(models(), file)
    with bank_file.drafting(file):  # a file that is being built anew leaves the one that there is alone
        assert kept(models(), file).members == ("a", "b")


def test_a_file_in_a_folder_that_cannot_be_made_is_refused(models: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("notes")
    with pytest.raises(InputError, match=r"models.bank '.*' cannot be written \(.*\); give another file"):
        kept(models(), tmp_path / "notes" / "kept.bank")


def test_a_file_goes_with_the_file_tier_only(models: Callable[..., Any]) -> None:
    with pytest.raises(
        InputError, match=r"keeps the bank in a file, and models.tier is 'device'; leave one of them out"
    ):
        models().build_bank(BankOptions(), Keeping("device", "kept.bank"))


@pytest.mark.parametrize("tier", ["device", "host"])
def test_too_little_memory_is_said_before_a_member_is_read(
    models: Callable[..., Any], unread: Any, monkeypatch: pytest.MonkeyPatch, tier: str
) -> None:
    opened = models()
    unread()
    monkeypatch.setattr(choosing, "memory_of", lambda device: Memory(1000, 1000))
    with pytest.raises(
        InputError, match=r"base and deltas need 1.0 MB, and .* has 0.0 MB free.*; set models.tier to auto"
    ):
        opened.build_bank(BankOptions(), Keeping(tier))


@pytest.mark.parametrize("storage", ["exact", "fp16", "int8"])
def test_the_size_is_known_beforehand(models: Callable[..., Any], storage: str) -> None:
    opened = models()
    bank = opened.build_bank(BankOptions(storage))
    tensors = dict(opened.model.named_parameters())
    (predicted,) = predicted_bytes(
        {name: tensors[name] for name in bank.names}, opened.members, BankOptions(storage)
    ).values()
    small = sum(
        t.nbytes for s in bank.segments for t in (s.scales, *(t for p in s.patches.values() for t in vars(p).values()))
    )
    assert sum(predicted) == bank.bytes - small


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_too_small_is_said_before_a_member_is_read(
    models: Callable[..., Any], unread: Any, small_disk: Path
) -> None:
    opened = models()
    unread()
    with pytest.raises(
        InputError,
        match=r"base and deltas need .* MB, and '.*disk' has 0.2 MB free; free some room, set models.bank to",
    ):
        kept(opened, small_disk / "kept.bank")
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_others_fill_meanwhile_leaves_nothing(
    models: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, small_disk: Path
) -> None:
    roomy = type("Usage", (), {"free": 10**9})
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: roomy)
    with pytest.raises(InputError, match=r"the bank's file in '.*disk' cannot grow \(No space left on device; "):
        kept(models(), small_disk / "kept.bank")
    assert list(small_disk.iterdir()) == []
