"""Tiny models as session fixtures, and what `tiny.py` and `saved.py` define."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mergesearch.plugins import load_object

TINY, SAVED = (Path(__file__).with_name(name) for name in ("tiny.py", "saved.py"))


@pytest.fixture(scope="session")
def tiny() -> Any:
    """All names of the modules `tiny.py` and `saved.py`."""
    memory, disk = (sys.modules[load_object(reference).__module__] for reference in (f"{TINY}:World", f"{SAVED}:llama"))
    return SimpleNamespace(**{**vars(disk), **vars(memory)})


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
