"""Tiers: the same blocks from all of them, bounded resident memory, a choice that is explained, a disk that is full."""

from __future__ import annotations

import errno
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.engine.bank.layout import BLOCK
from mergesearch.engine.devices.devices import HOST
from mergesearch.engine.devices.memory import Memory
from mergesearch.engine.tiers import choose as choosing
from mergesearch.engine.tiers import streaming
from mergesearch.engine.tiers.choose import choose
from mergesearch.engine.tiers.device import DeviceTier
from mergesearch.engine.tiers.file import FileTier
from mergesearch.engine.tiers.host import HostTier
from mergesearch.engine.tiers.mapping import full_disk_explained
from mergesearch.engine.tiers.streaming import double_buffered, spans
from mergesearch.engine.tiers.tier import Tier
from mergesearch.errors import InputError

GB = 10**9
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.int8)


@pytest.fixture(params=["device", "host", "file"])
def tier(request: pytest.FixtureRequest, tmp_path: Path) -> Tier:
    kinds = {"device": DeviceTier, "host": HostTier, "file": lambda: FileTier.temporary(tmp_path)}
    made: Tier = kinds[request.param]()
    return made


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "CHUNK_BYTES", 3 * BLOCK * sum(dtype.itemsize for dtype in DTYPES))


def filled(tier: Tier, blocks: int, device: torch.device) -> list[torch.Tensor]:
    buffers = [tier.allocate(blocks, dtype, device) for dtype in DTYPES]
    for number, buffer in enumerate(buffers):
        assert not buffer.any()
        generator = torch.Generator().manual_seed(number)
        buffer.copy_(torch.randint(-100, 100, buffer.shape, generator=generator))
    return buffers


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("blocks", [0, 1, 2, 3, 10])
def test_every_tier_yields_every_block_once_and_in_order(tier: Tier, blocks: int, device: torch.device) -> None:
    buffers = filled(tier, 12, device)
    tier.release(*buffers)
    seen = 0
    for part in tier.stream(buffers[0], buffers[1:], device, blocks):
        assert part.start == seen and part.start < part.stop
        for buffer, yielded in zip(buffers, (part.base, *part.deltas), strict=True):
            assert isinstance(yielded, torch.Tensor) and yielded.device == device
            assert torch.equal(yielded.cpu(), buffer[seen : part.stop].cpu())
        seen = part.stop
    assert seen == blocks


@pytest.mark.usefixtures("small_chunks")
def test_a_stream_may_be_left_before_its_end(tier: Tier, device: torch.device) -> None:
    buffers = filled(tier, 12, device)
    for _ in tier.stream(buffers[0], buffers[1:], device, 12):
        break
    assert sum(part.stop - part.start for part in tier.stream(buffers[0], buffers[1:], device, 12)) == 12


def test_what_is_kept_has_the_same_values(tier: Tier, device: torch.device) -> None:
    for tensor in (torch.arange(7), torch.rand(3, 5), torch.empty(0, dtype=torch.int32), torch.tensor(2.5)):
        kept = tier.keep(tensor, device)
        assert kept.dtype == tensor.dtype and torch.equal(kept.cpu(), tensor)


@given(st.integers(0, 300), st.integers(1, 40 * BLOCK))
def test_spans_cover_all_blocks_within_the_size(blocks: int, size: int) -> None:
    buffers = [torch.zeros(1, BLOCK, dtype=torch.int8), torch.zeros(1, BLOCK, dtype=torch.float16)]
    cut = spans(buffers, blocks, size)
    assert [block for start, stop in cut for block in range(start, stop)] == list(range(blocks))
    assert all((stop - start) * 3 * BLOCK <= max(size, 3 * BLOCK) for start, stop in cut)


def test_the_next_chunk_is_fetched_while_the_caller_works() -> None:
    fetched = [Event() for _ in range(4)]

    def fetch(number: int, span: tuple[int, int]) -> int:
        fetched[number].set()
        return span[0]

    for number, first in enumerate(double_buffered([(10 * n, 10 * n + 10) for n in range(4)], fetch)):
        assert first == 10 * number
        assert number == 3 or fetched[number + 1].wait(10)
        assert not any(event.is_set() for event in fetched[number + 2 :])  # two chunks at most


def test_what_goes_wrong_while_fetching_is_raised_where_it_is_needed() -> None:
    def fetch(number: int, span: tuple[int, int]) -> int:
        if number == 1:
            raise OSError("disk gone")
        return number

    chunks = double_buffered([(0, 1), (1, 2)], fetch)
    assert next(chunks) == 0
    with pytest.raises(OSError, match="disk gone"):
        next(chunks)


def resident() -> int:
    """Bytes of mapped files that are resident."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)["RssFile"].split()[0]) * 1024


def test_streaming_a_file_keeps_two_chunks_resident(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chunk = 1 << 20
    monkeypatch.setattr(streaming, "CHUNK_BYTES", chunk)
    tier = FileTier.temporary(tmp_path)
    buffer = tier.allocate((32 << 20) // BLOCK, torch.int8, HOST)
    before = resident()
    buffer.fill_(1)
    assert resident() - before >= 32 << 20
    tier.release(buffer)
    assert resident() - before < chunk
    for part in tier.stream(buffer, (), HOST, len(buffer)):
        assert part.base.all()
        assert resident() - before <= 3 * chunk, part.stop  # some room for what the test itself brings in
    assert resident() - before < chunk
    assert buffer.all()  # nothing was lost


def test_a_temporary_file_leaves_nothing_behind(tmp_path: Path) -> None:
    buffer = FileTier.temporary(tmp_path).allocate(3, torch.float32, HOST)
    buffer.fill_(7)
    assert list(tmp_path.iterdir()) == [] and buffer.eq(7).all()


FULL = """
import resource, sys
from pathlib import Path
import torch
from mergesearch.engine.devices.devices import HOST
from mergesearch.engine.tiers.file import FileTier
from mergesearch.errors import InputError
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
tier = FileTier.temporary(Path(sys.argv[1]))
tier.allocate(100, torch.float32, HOST).fill_(1)
try:
    tier.allocate(2000, torch.float32, HOST).fill_(1)
except InputError as error:
    print(error)
"""


def refused_growth(*arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", FULL, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_file_that_may_not_grow_is_an_error_that_says_so(tmp_path: Path) -> None:
    text = refused_growth(str(tmp_path), str(8 << 20))
    assert re.match(
        r"the bank's file in '.*' cannot grow \(File too large; .* GB are free there\); "
        "free some space, or set models.bank to a file on a larger disk\n$",
        text,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        permitted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        permitted = False
    if not permitted:
        pytest.skip("file systems cannot be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_an_error_that_says_so(small_disk: Path) -> None:
    assert "cannot grow (No space left on device; 0.00" in refused_growth(str(small_disk))
    assert list(small_disk.iterdir()) == []


def test_what_is_no_full_disk_is_not_called_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot grow"), full_disk_explained(tmp_path):
        raise OSError(errno.ENOSPC, "a scratch file could not be written")
    with pytest.raises(PermissionError), full_disk_explained(tmp_path):
        raise PermissionError(errno.EPERM, "another reason")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Free bytes of an accelerator (or the host alone), of the host and of the disk, for the choice to see."""
    free = {"accelerator": 1 * GB, "host": 10 * GB, "disk": 100 * GB}
    places = {HOST: "host"}
    monkeypatch.setattr(choosing, "memory_of", lambda device: Memory(free[places.get(device, "accelerator")], 0))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free["disk"]}))
    return free


CARD = torch.device("meta")  # stands for an accelerator: its memory is what the fixture says


@pytest.mark.parametrize(
    ("needs", "tier", "line"),
    [
        ({CARD: 0.8}, "device", "deltas: 0.8 GB with the base, in device memory (device 'meta' has 1.0 GB free)"),
        ({CARD: 0.95}, "host", "deltas: 0.9 GB with the base, in host memory (device 'meta' has 1.0 GB free)"),
        ({CARD: 9.5}, "file", "deltas: 9.5 GB with the base, in a file in 'there' (device 'meta' has 1.0 GB free; the"),
        ({HOST: 8.0}, "device", "deltas: 8.0 GB with the base, in memory (memory has 10.0 GB free)"),
        ({HOST: 9.5}, "file", "deltas: 9.5 GB with the base, in a file in 'there' (memory has 10.0 GB free)"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_auto_takes_the_fastest_tier_that_has_room(needs: dict[torch.device, float], tier: str, line: str) -> None:
    choice = choose("auto", {device: [int(size * GB)] for device, size in needs.items()}, Path("there"))
    assert choice.tier == tier
    assert str(choice).startswith(line)


@pytest.mark.parametrize(
    ("wanted", "needs", "text"),
    [
        (
            "device",
            {CARD: 3 * GB},
            "base and deltas need 3.0 GB, and device 'meta' has 1.0 GB free; set models.tier to auto or 'host' or "
            "'file', keep them smaller (models.storage: fp16 or int8), or merge fewer members",
        ),
        (
            "host",
            {CARD: 11 * GB},
            "base and deltas need 11.0 GB, and the host has 10.0 GB free for 17.2 GB of pinned buffers; set",
        ),
        ("device", {HOST: 11 * GB}, "need 11.0 GB, and memory has 10.0 GB free; set models.tier to auto or 'file'"),
        (
            "file",
            {HOST: 101 * GB},
            "need 101.0 GB, and 'there' has 100.0 GB free; free some room, set models.bank to a",
        ),
        (
            "auto",
            {CARD: 101 * GB},
            "the host has 10.0 GB free for 137.4 GB of pinned buffers and 'there' has 100.0 GB free; free",
        ),
        ("disk", {HOST: 1}, "models.tier 'disk' is unknown; give one of auto, device, host, file"),
    ],
)
@pytest.mark.usefixtures("machine")
def test_a_tier_without_room_is_refused(wanted: str, needs: dict[torch.device, float], text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        choose(wanted, {device: [int(size)] for device, size in needs.items()}, Path("there"))


@pytest.mark.usefixtures("machine")
def test_a_tier_that_is_asked_for_may_take_all_that_is_free() -> None:
    assert choose("device", {HOST: [10 * GB]}, Path("there")).tier == "device"
    assert choose("host", {HOST: [GB]}, Path("there")).place == "memory (memory has 10.0 GB free)"  # one and the same
    assert choose("file", {CARD: [GB // 2]}, Path("there")).tier == "file"


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_room_in_a_file_is_that_of_its_pages(sizes: list[int]) -> None:
    tier = FileTier.temporary()
    pieces = [tier.keep(torch.full((size,), size, dtype=torch.uint8)) for size in sizes]
    offsets = [tier.mapped.offset(piece) for piece in pieces]
    assert offsets == [resource.getpagesize() * number for number in range(len(sizes))]
    assert [piece.tolist() for piece in pieces] == [[size] * size for size in sizes]
