"""Tiny models as session fixtures, and the makers of `tiny.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from mergesearch.plugins import load_object

TINY = Path(__file__).with_name("tiny.py")


@pytest.fixture(scope="session")
def tiny() -> Any:
    """The module `tiny.py`."""
    return sys.modules[load_object(f"{TINY}:World").__module__]


@pytest.fixture(scope="session")
def network() -> str:
    """A reference to a function that builds a module."""
    return f"{TINY}:normed"


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
