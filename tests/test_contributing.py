"""The examples of CONTRIBUTING.md work as they stand, and pass their conformance suites' core."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mergesearch
from mergesearch.search.history import History
from mergesearch.search.searcher import generator
from mergesearch.spaces.box import Box

TEXT = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
# A file named in the text, and the code that follows.
EXAMPLES = re.findall(r"`((?:search|evaluators|engine/transforms)/\w+\.py)`.*?```python\n(.*?)```", TEXT, re.DOTALL)


def load(path: str, code: str) -> ModuleType:
    """Run an example as if it lay in its room."""
    name = "mergesearch." + path.removesuffix(".py").replace("/", ".")
    module = ModuleType(name)
    module.__package__ = name.rpartition(".")[0]
    sys.modules[name] = module
    exec(compile(code, path, "exec"), vars(module))
    return module


@pytest.fixture
def modules() -> dict[str, ModuleType]:
    return {Path(path).stem: load(path, code) for path, code in EXAMPLES}


def test_there_is_one_example_for_each_extension_point() -> None:
    assert [path for path, _ in EXAMPLES] == ["search/coin.py", "evaluators/norm.py", "engine/transforms/sign.py"]
    assert mergesearch.__version__ in (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")


def test_the_searcher(modules: dict[str, ModuleType]) -> None:
    searcher = modules["coin"].Coin(seed=1)
    nothing = np.empty((0, 3))
    history = History(Box(3), 0, nothing, np.empty((0, 1)), np.empty((0, 1)), np.empty((0, 0)))
    x = searcher.propose(history, generator(1, 0))
    assert set(x.tolist()) <= {0.0, 1.5}
    code_lines = [line for line in EXAMPLES[0][1].splitlines() if line.strip()]
    assert len(code_lines) <= 25


def test_the_evaluator(modules: dict[str, ModuleType]) -> None:
    model: Any = nn.Linear(2, 4)
    evaluator = modules["norm"].Norm("bias", "bias", 4)
    scores = evaluator.score(model, {"bias": np.array([1, 3])})
    assert scores["bias"]["size"].value == pytest.approx(float(model.bias.detach()[[1, 3]].double().abs().mean()))
    assert len(evaluator.fingerprint()) >= 32


def test_the_transform(modules: dict[str, ModuleType]) -> None:
    transform = modules["sign"].Sign()
    (result,) = transform.apply("weight", [torch.tensor([1.0, -3.0])])
    assert result.tolist() == [2.0, -2.0] and transform.canonical_row(4) == [0.25] * 4
