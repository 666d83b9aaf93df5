"""Folders that go with their process: when it is done, when it fails, when it is killed, and never before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mergesearch.evaluators._programs.passing_folder import passing_folder

HOLDER = """
import pathlib, sys, time
from mergesearch.evaluators._programs.passing_folder import passing_folder
from mergesearch.evaluators._programs.process import Program
with passing_folder(pathlib.Path(sys.argv[1])) as own:
    (own / "weights").write_text("large")
    Program("mine", (sys.executable, "-c", "import time; time.sleep(60)"), 60).run({})
"""


def soon(what: Callable[[], bool]) -> bool:
    """Whether it comes true within some seconds."""
    for _ in range(200):
        if what():
            return True
        time.sleep(0.05)
    return False


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds such a folder below `tmp_path`, while a program runs that two shells wait beside."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("needs /proc to see the processes")
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)])
    try:
        assert soon(lambda: bool(list(tmp_path.glob("*/own/weights"))) and len(children(process.pid)) == 3)
        yield process
    finally:
        process.kill()
        process.wait()


def test_it_is_empty_and_gone_afterwards(tmp_path: Path) -> None:
    with passing_folder(tmp_path) as own, passing_folder(tmp_path) as another:
        (own / "file").write_text("text")
        assert own != another and not list(another.iterdir())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), passing_folder(tmp_path) as own:
        (own / "file").write_text("text")
        raise error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_process_leaves_no_folder_and_no_program(
    tmp_path: Path, holder: subprocess.Popen[bytes], sent: signal.Signals
) -> None:
    program = children(holder.pid)
    holder.send_signal(sent)
    holder.wait()
    assert soon(lambda: not list(tmp_path.iterdir()))
    assert soon(lambda: not any(map(alive, program)))


def test_the_next_one_sweeps_up_what_was_killed_with_its_shells(
    tmp_path: Path, holder: subprocess.Popen[bytes]
) -> None:
    started, (kept,) = children(holder.pid), list(tmp_path.iterdir())
    with passing_folder(tmp_path):
        assert kept.is_dir(), "its process lives"
    for pid in (*started, holder.pid):  # as a container that is stopped
        os.kill(pid, signal.SIGKILL)
    holder.wait()
    time.sleep(0.2)
    assert (kept / "own" / "weights").is_file()
    with passing_folder(tmp_path):
        assert not kept.exists()
    assert not list(tmp_path.iterdir())


def test_what_others_keep_there_stays(tmp_path: Path) -> None:
    (tmp_path / "mergesearch-runs").mkdir()
    (tmp_path / "mergesearch-new").mkdir()
    (tmp_path / "mergesearch-new" / ".lock").touch()  # made, but not held yet
    (tmp_path / "mergesearch-link").symlink_to(tmp_path / "nothing")
    with passing_folder(tmp_path):
        pass
    assert len(list(tmp_path.iterdir())) == 3
