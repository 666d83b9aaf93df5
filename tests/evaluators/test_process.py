"""Programs of the user's: what they are given, what becomes of their output, and how they are stopped."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators._programs.process import Program


def script(folder: Path, body: str, timeout: float = 30.0) -> Program:
    path = folder / "program.py"
    path.write_text(f"import os, sys, subprocess, time\n{body}\n")
    return Program.parse("mine", [sys.executable, str(path), "{path}"], timeout)


def test_a_line_is_taken_apart_without_a_shell(tmp_path: Path) -> None:
    line = (
        f"{sys.executable} -c 'import sys; print(sys.argv[1:], sys.stdin.read())' \"two words\" $HOME {{path}}/x {{y}}"
    )
    program = Program.parse("mine", line, 30)
    assert program.mentions("path") and not program.mentions("samples")
    said = program.run({"path": tmp_path}, "héllo")
    assert said == f"{['two words', '$HOME', f'{tmp_path}/x', '{y}']} héllo\n"


def test_its_failure_shows_the_end_of_its_output_and_all_is_kept(tmp_path: Path) -> None:
    body = "print('begin' + 'x' * 400)\nprint('cannot read', sys.argv[1], file=sys.stderr)\nsys.exit(3)"
    kept = tmp_path / "output" / "mine.log"
    with pytest.raises(TrialError, match=r"evaluator 'mine': `.*program\.py '\{path\}'` ended with status 3") as caught:
        script(tmp_path, body).run({"path": tmp_path / "weights"}, output=kept)
    assert str(caught.value).endswith("cannot read {path}") and "…xxx" in str(caught.value)
    assert "begin" not in str(caught.value) and "begin" in kept.read_text()
    with pytest.raises(TrialError, match="was ended by SIGSEGV; it wrote nothing"):
        script(tmp_path, "os.kill(os.getpid(), 11)").run({"path": tmp_path}, output=kept)
    assert kept.read_text().count("\n# ") == 1, "appended"


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.is_file() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_one_that_hangs_is_stopped_with_its_children(tmp_path: Path) -> None:
    body = (
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'w').write(f'{os.getpid()} {child.pid}')\n"
        "print('thinking', flush=True)\ntime.sleep(60)"
    )
    clock = time.monotonic()
    with pytest.raises(TrialError, match=r"took longer than 2 s and was stopped; its last output: thinking"):
        script(tmp_path, body, timeout=2.0).run({"path": tmp_path / "pids"})
    assert time.monotonic() - clock < 20
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    for _ in range(100):  # whoever adopted the child has to notice its end
        if not any(map(alive, pids)):
            break
        time.sleep(0.05)
    assert len(pids) == 2 and not any(map(alive, pids))


def test_a_child_that_outlives_it_keeps_nobody_waiting(tmp_path: Path) -> None:
    body = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(5)'])\nprint('done')"
    clock = time.monotonic()
    assert script(tmp_path, body).run({"path": tmp_path}) == "done\n"
    assert time.monotonic() - clock < 4


def test_an_interrupt_stops_it(tmp_path: Path) -> None:
    body = "open(sys.argv[1], 'w').write(str(os.getpid()))\nos.kill(os.getppid(), 2)\ntime.sleep(60)"
    clock = time.monotonic()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            script(tmp_path, body).run({"path": tmp_path / "pid"})
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - clock < 20 and not alive(int((tmp_path / "pid").read_text()))


def test_a_script_counts_by_its_content(tmp_path: Path) -> None:
    first = script(tmp_path, "pass").content()
    (tmp_path / "other").mkdir()
    assert script(tmp_path / "other", "pass").content() == first
    assert script(tmp_path, "print()").content() != first
    assert os.sep not in first[1] and first[2] == "{path}"
    (tmp_path / "log").write_text("once")
    words = [sys.executable, str(tmp_path / "program.py"), str(tmp_path / "log")]
    assert Program.parse("mine", words, 1).content()[2] == words[2], "what it writes to is no part of it"


@pytest.mark.parametrize(
    ("command", "timeout", "text"),
    [
        ("", 1, "evaluator 'mine' has an empty command; give a program and its arguments"),
        (
            "no-such-program {path}",
            1,
            "no program 'no-such-program' that can be run; install it, or give the path of an",
        ),
        ("python 'open", 1, r"command \"python 'open\" cannot be read \(No closing quotation\)"),
        ([sys.executable], 0, "timeout = 0; give the seconds that one call may take"),
    ],
)
def test_refused(command: str | list[str], timeout: float, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Program.parse("mine", command, timeout)


def test_a_script_that_is_no_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "judge.py"
    path.write_text("print(1)\n")
    with pytest.raises(InputError, match=r"no program '.*judge\.py' .*'python judge\.py' rather than 'judge\.py'"):
        Program.parse("mine", str(path), 1)
    path.chmod(0o755)  # no first line that names an interpreter
    with pytest.raises(TrialError, match=r"judge\.py` cannot be started \(Exec format error\)"):
        Program.parse("mine", str(path), 1).run({})
