"""Devices: found by name, refused by name, measured; and the whole room on devices that are not the CPU."""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mergesearch.engine.devices import memory as memories
from mergesearch.engine.devices.devices import HOST, accelerators, can_compile, has_fp64, resolve_device, synchronise
from mergesearch.engine.devices.memory import Memory, memory_of
from mergesearch.errors import InputError

ROOT = Path(__file__).parents[3]
ROOMS = ("spaces", "surrogates", "engine", "evaluators", "search", "runs")
NAMES = re.compile(r"\b(cpu|cuda|hip|rocm|xpu|mps|npu|hpu|mtia)\b")


def test_the_cpu_and_the_accelerator_have_names(device: torch.device) -> None:
    assert resolve_device("cpu") == resolve_device("cpu:0") == HOST
    assert resolve_device(str(device)) == device
    assert resolve_device("auto") == (accelerators() or [HOST])[0]
    assert torch.empty(1, device=device).device == device


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("meta", "device 'meta' is unknown; known: auto, cpu, cuda, mps, npu,"),
        ("cdua", r"device 'cdua' is unknown; did you mean 'cuda'\?"),
        ("gpu", r"device 'gpu' is unknown; did you mean 'auto'\?"),
        ("rocm:0", r"device 'rocm:0' is unknown; did you mean 'cuda'\?"),
        ("", "device '' is unknown; known: auto, cpu"),
        ("cpu:1", "device 'cpu:1' is not there: this machine has cpu.*; give one of these, or auto"),
        ("cuda:99", "device 'cuda:99' is not there: this machine has cpu"),
        ("cuda:x", "device 'cuda:x' is not there: this machine has cpu"),
        ("xpu:-1", "device 'xpu:-1' is not there: this machine has cpu"),
    ],
)
def test_devices_that_cannot_be_used_are_named(name: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        resolve_device(name)


@pytest.mark.skipif(importlib.util.find_spec("torch_npu") is not None, reason="its package is installed")
def test_a_device_whose_package_is_missing_says_what_to_install() -> None:
    with pytest.raises(
        InputError, match=r"device 'npu' needs the package torch_npu \(.*\); install it: pip install torch-npu"
    ):
        resolve_device("npu:0")


def test_memory_is_told(device: torch.device) -> None:
    for one in (HOST, device):
        memory = memory_of(one)
        assert 0 < memory.free <= memory.total
        assert memory.total > 1 << 28


def test_memory_of_a_container_is_what_its_limit_leaves(tmp_path: Path) -> None:
    """Pages of files that the system keeps for nothing better count as free."""
    assert memories._container(tmp_path) is None
    for name, content in (
        ("memory.max", "1000"),
        ("memory.current", "700"),
        ("memory.stat", "anon 500\ninactive_file 200"),
    ):
        (tmp_path / name).write_text(content + "\n")
    assert memories._container(tmp_path) == Memory(free=500, total=1000)
    (tmp_path / "memory.current").write_text("1300")
    assert memories._container(tmp_path) == Memory(free=0, total=1000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memories._container(tmp_path) is None


def test_what_the_device_does_follows_its_name(device: torch.device) -> None:
    assert has_fp64(HOST)
    assert can_compile(HOST)
    total = torch.ones(1000, device=device).sum()
    synchronise(device)
    synchronise(HOST)
    assert float(total) == 1000
    if not has_fp64(device):
        with pytest.raises((TypeError, RuntimeError)):
            torch.ones(1, device=device, dtype=torch.float64) + 1


def _device_names(path: Path) -> list[str]:
    """Names of devices in a module's code: strings (but for documentation) and attributes."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented:
            found += NAMES.findall(node.value)
        if isinstance(node, ast.Attribute) and node.attr != "cpu":  # `.cpu()` is how anything comes to the host
            found += NAMES.findall(node.attr)
    return found


def test_one_module_names_devices() -> None:
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")] + list(ROOT.glob("*.py"))
    named = {str(path.relative_to(ROOT)): names for path in paths if (names := _device_names(path))}
    assert set(named) == {"engine/devices/devices.py"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="there is no C++ compiler")
@pytest.mark.parametrize("fp64", ["1", "0"])
def test_the_engine_runs_on_devices_that_are_not_the_cpu(fp64: str) -> None:
    """All other tests of this room, on the second of two devices, of double precision and without."""
    options = ["-q", "-rfs", "--device", "twin:1", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", *options, str(Path(__file__).parents[1])]
    environment = {**os.environ, "TWIN_FP64": fp64}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-5000:]
    assert ("no double precision" in done.stdout) == (fp64 == "0")


def test_an_unknown_device_stops_the_tests_at_once() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--device", "meta", str(Path(__file__))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "device 'meta' is unknown; known: auto, cpu" in done.stderr
