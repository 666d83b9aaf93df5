"""The estimate in docs/memory.md is what its own code prints, and agrees with the storages and with a real bank."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from mergesearch.engine.bank.bank import build_bank
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.checkpoint import TensorHeader
from mergesearch.engine.checkpoints.source import Source, Target
from mergesearch.engine.checkpoints.torch_checkpoint import TorchCheckpoint
from mergesearch.engine.tiers import streaming

TEXT = (Path(__file__).parent.parent / "docs" / "memory.md").read_text(encoding="utf-8")
(CODE,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def executed() -> tuple[dict[str, Any], str]:
    """The names that the page's code defines, and what it prints."""
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(CODE, names)
    return names, printed.getvalue()


def test_the_table_is_what_the_code_prints(executed: tuple[dict[str, Any], str]) -> None:
    assert executed[1] in TEXT
    assert len(executed[1].splitlines()) == 8


def test_the_estimate_is_that_of_a_bank(executed: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    weights = 256 * 4096
    base = torch.randn(256, 4096).bfloat16()
    target = Target({"w": TensorHeader(tuple(base.shape), base.dtype)}, {})
    members = []
    for number in range(3):
        torch.save({"w": base + number + 1}, tmp_path / f"{number}.pt")
        members.append(Member(str(number), Source(str(number), TorchCheckpoint(tmp_path / f"{number}.pt"), target)))
    for storage, delta in (("exact", 2), ("fp16", 2), ("int8", 1)):
        bank = build_bank({"w": base}, members, BankOptions(storage))
        live, predicted, _ = executed[0]["estimate"](weights, 3, delta)
        assert live == base.nbytes
        assert bank.bytes - sum(segment.scales.nbytes for segment in bank.segments) == predicted


def test_the_sizes_in_the_text_are_those_of_the_code() -> None:
    assert f"({streaming.CHUNK_BYTES >> 20} MB of base and deltas together)" in TEXT
    bfloat16 = {name: BankOptions(name).kept.bytes(torch.bfloat16) for name in ("fp16", "int8", "sparse")}
    assert bfloat16 == {"fp16": 2, "int8": 1, "sparse": pytest.approx(2.17, abs=0.005)}
    assert BankOptions("exact").kept.bytes(torch.float32) == 4 and BankOptions("exact").kept.bytes(torch.float64) == 8
