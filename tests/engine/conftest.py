"""Tiny models as session fixtures, and what `tiny.py` and `saved.py` define."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mergesearch.engine.devices.devices import can_compile, has_fp64
from mergesearch.plugins import load_object

TINY, SAVED = (Path(__file__).with_name(name) for name in ("tiny.py", "saved.py"))


@pytest.fixture(scope="session")
def tiny(device: torch.device) -> Any:
    """All names of the modules `tiny.py` and `saved.py`; worlds and opened models are placed on the device."""
    memory, disk = (sys.modules[load_object(reference).__module__] for reference in (f"{TINY}:World", f"{SAVED}:llama"))
    placed: dict[str, Any] = {
        "World": partial(memory.World, device=device),
        "opened": partial(disk.opened, device=str(device)),
        "supported": partial(memory.supported, device),
        "device": device,
    }
    return SimpleNamespace(**{**vars(disk), **vars(memory), **placed})


@pytest.fixture(autouse=True)
def _without_fp64(request: pytest.FixtureRequest, device: torch.device) -> None:
    """Leave out the cases of double precision where the device has none."""
    callspec = getattr(request.node, "callspec", None)
    asked = {str(value).removeprefix("torch.") for value in callspec.params.values()} if callspec else set()
    if ("float64" in asked or request.node.get_closest_marker("fp64")) and not has_fp64(device):
        pytest.skip(f"{device} has no double precision")


@pytest.fixture
def compiler(device: torch.device) -> None:
    """Leave a test out where torch.compile builds nothing for the device."""
    if not can_compile(device):
        pytest.skip(f"there is no compiler for {device}")


@pytest.fixture(scope="session")
def network() -> str:
    """A reference to a function that builds a module."""
    return f"{SAVED}:normed"


@pytest.fixture(scope="session")
def zoo(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a base Llama and two members, `a` and `b`, each with a tokenizer."""
    folder = tmp_path_factory.mktemp("zoo")
    model = tiny.llama()
    model.save_pretrained(folder / "base")
    tiny.save_member(folder / "a", model, 1)
    tiny.save_member(folder / "b", model, 2)
    for name in ("base", "a", "b"):
        tiny.save_tokenizer(folder / name)
    return folder
