"""A trained test bed, and configurations for it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

BED = Path(__file__).parent / "tiny_digits.py"
TASKS = ("upright", "flip", "invert")

MakeConfig = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def _few_threads() -> None:
    """Before every test: others of the same process set theirs, and the last bit of a gradient follows their number."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with base.safetensors and one expert per task."""
    spec = importlib.util.spec_from_file_location("tiny_digits", BED)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder: Path = module.train(tmp_path_factory.mktemp("bed"))
    return folder


@pytest.fixture
def make_config(bed: Path, tmp_path: Path) -> MakeConfig:
    """Build the keys of a configuration; `section__key=value` replaces single ones."""

    def make(**changes: Any) -> dict[str, Any]:
        keys: dict[str, Any] = {
            "name": "bed",
            "models": {
                "base": str(bed / "base.safetensors"),
                "members": {task: str(bed / f"{task}.safetensors") for task in TASKS},
                "network": f"{BED}:network",
                "device": "cpu",
            },
            "space": {"groups": "model", "kind": "box"},
            "search": {"searcher": "random", "seed": 3},
            "evaluators": {
                "digits": {
                    "kind": "dataloader",
                    "dataset": f"{BED}:dataset",
                    "tasks": {task: {"task": task} for task in TASKS},
                    "metrics": ["accuracy", "loss"],
                }
            },
            "objectives": ["flip/accuracy", "invert/accuracy"],
            "budget": {"trials": 16},
            "out": str(tmp_path / "runs"),
        }
        for path, value in changes.items():
            section, _, key = path.partition("__")
            if key:
                keys[section] = {**keys.get(section, {}), key: value}
            else:
                keys[section] = value
        return keys

    return make
