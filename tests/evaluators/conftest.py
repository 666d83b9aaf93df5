"""The tiny models, data and tasks of `tiny.py` as fixtures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mergesearch.plugins import load_object

TINY = Path(__file__).with_name("tiny.py")


def _tiny(name: str) -> Any:
    return load_object(f"{TINY}:{name}")


@pytest.fixture(scope="session")
def make() -> Any:
    """A function that calls a maker of `tiny.py` by name."""
    return lambda name, *arguments, **options: _tiny(name)(*arguments, **options)


@pytest.fixture(scope="session")
def tiny_file() -> str:
    """Path of `tiny.py`, for references such as `path.py:function`."""
    return str(TINY)


@pytest.fixture(scope="session")
def tasks_folder(tmp_path_factory: pytest.TempPathFactory, make: Any) -> Path:
    """A folder with lm-eval tasks."""
    folder: Path = make("write_tasks", tmp_path_factory.mktemp("tasks"))
    return folder


@pytest.fixture(scope="session")
def llama(make: Any, tasks_folder: Path) -> Any:
    """A tiny Llama that knows some of the answers."""
    return make("taught_llama", tasks_folder)


@pytest.fixture(scope="session")
def tokenizer(make: Any) -> Any:
    """The tokenizer of the tiny Llama."""
    return make("tiny_tokenizer")


@pytest.fixture
def text_file(make: Any, tmp_path: Path) -> Path:
    """A text file of 400 words."""
    path: Path = make("write_text", tmp_path)
    return path
