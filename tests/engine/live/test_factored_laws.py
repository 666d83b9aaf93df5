"""The laws again for adapters, alone and mixed with whole members, on random banks."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from mergesearch.engine.bank.bank import build_bank
from mergesearch.engine.bank.member import BankOptions, Member
from mergesearch.engine.checkpoints.adapter import AdapterCheckpoint
from mergesearch.engine.checkpoints.source import Source, Target
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.transforms.trim import Trim
from mergesearch.spaces.table import CoefficientTable

SHAPES = ((6, 6), (5, 9), (70, 80), (1, 3))
# Storage -> how far weights may be from fp64 arithmetic, beside one rounding; deltas reach 0.04.
SLACK = {"exact": 1e-7, "sparse_exact": 1e-7, "fp16": 1e-4, "sparse": 1e-4, "int8": 1e-3}
quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Adapters:
    """A random base, and members that are whole, factored (some tensors, some transposed) or both."""

    def __init__(self, tiny: Any, folder: Path, seed: int, dtype: torch.dtype) -> None:
        self.random = np.random.default_rng(seed)
        torch.manual_seed(seed)
        names = [f"w{number}.weight" for number in range(self.random.integers(1, 4))]
        shapes = [SHAPES[self.random.integers(len(SHAPES))] for _ in names]
        self.base = {name: (0.02 * torch.randn(shape)).to(dtype) for name, shape in zip(names, shapes, strict=True)}
        self.target = Target(tiny.target_of(self.base).headers, {}, transposed=frozenset(names[:1]))
        self.exact: list[dict[str, torch.Tensor]] = []
        self.whole: list[bool] = []
        self.members = [self._member(tiny, folder / str(n), f"m{n}") for n in range(self.random.integers(1, 4))]
        self.groups = tiny.groups_of({name: int(self.random.integers(2)) for name in names})

    def _member(self, tiny: Any, folder: Path, name: str) -> Member:
        tuned = {n: (b.float() + 1e-2 * torch.randn(b.shape)).to(b.dtype) for n, b in self.base.items()}
        self.whole.append(bool(self.random.integers(2)))
        if self.whole[-1]:
            self.exact.append({n: tuned[n].double() - b.double() for n, b in self.base.items()})
            return Member(name, Source(name, tiny.MemoryCheckpoint(tuned), self.target))
        stored: dict[str, torch.Tensor] = {}
        exact: dict[str, torch.Tensor] = {}
        for weight, base in self.base.items():
            choice, rank = self.random.integers(4), int(self.random.integers(1, 4))
            rows, columns = base.shape if weight not in self.target.transposed else base.shape[::-1]
            exact[weight] = torch.zeros(base.shape, dtype=torch.float64)
            module = f"base_model.model.{weight.removesuffix('.weight')}"
            if choice in (0, 1):
                down, up = 0.1 * torch.randn(rank, columns), 0.1 * torch.randn(rows, rank)
                stored |= {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}
                delta = 3 / rank * (up.double() @ down.double())
                exact[weight] += delta.T if weight in self.target.transposed else delta
            if choice in (1, 2):
                stored[f"{module}.base_layer.weight"] = tuned[weight]
                exact[weight] += tuned[weight].double() - base.double()
        folder.mkdir()
        (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "lora_alpha": 3, "r": 8}))
        save_file(stored, folder / "adapter_model.safetensors")
        self.exact.append(exact)
        return Member(name, Source(name, AdapterCheckpoint(folder), self.target))

    def live(self, tiny: Any, **options: Any) -> LiveModel:
        module = torch.nn.Module()
        for name, value in self.base.items():
            child = torch.nn.Module()
            child.weight = torch.nn.Parameter(value.clone())
            module.add_module(name.removesuffix(".weight"), child)
        return LiveModel(module, build_bank(self.base, self.members, BankOptions(**options)), self.groups, "eager")

    def table(self, scale: float = 1.0) -> CoefficientTable:
        members = self.random.uniform(-1, 1.5, (len(self.groups), len(self.members)))
        members[self.random.random(members.shape) < 0.3] = 0.0
        return CoefficientTable(members, np.full(len(members), scale))

    def merged(self, table: CoefficientTable) -> dict[str, torch.Tensor]:
        found = {}
        for name, base in self.base.items():
            row, scale = table.members[self.groups.of[name]], table.base[self.groups.of[name]]
            deltas = [c * exact[name] for c, exact in zip(row, self.exact, strict=True)]
            found[name] = scale * base.double() + sum(deltas, torch.zeros(base.shape, dtype=torch.float64))
        return found


@pytest.mark.parametrize("storage", SLACK)
@given(seed=st.integers(0, 10_000), dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
@quick
def test_adapters_merge_like_their_products(tiny: Any, storage: str, seed: int, dtype: torch.dtype) -> None:
    """One rounding from fp64, in any order of writing, with any scale of the base; zeros and whole members exact."""
    folder = Path(tempfile.mkdtemp())
    world = Adapters(tiny, folder, seed, dtype)
    live = world.live(tiny, storage=storage)
    for scale in (1.0, 0.5, 1.0):
        table = world.table(scale)
        live.write(table)
        for name, exact in world.merged(table).items():
            assert tiny.one_rounding(tiny.weights(live)[name], exact, slack=SLACK[storage])
    fresh = world.live(tiny, storage=storage)
    fresh.write(table)
    assert all(tiny.same_bits(value, fresh.tensors()[name]) for name, value in live.tensors().items())
    live.write(CoefficientTable.tied(np.zeros(len(world.members)), len(world.groups)))
    assert all(tiny.same_bits(value, world.base[name]) for name, value in live.tensors().items())
    for number, whole in enumerate(world.whole):
        live.write(CoefficientTable.tied(np.eye(len(world.members))[number], len(world.groups)))
        if whole and BankOptions(storage).kept.lossless:
            read = world.members[number].source.read
            assert all(tiny.same_bits(value, read(name)) for name, value in live.tensors().items())
    shutil.rmtree(folder)


@given(seed=st.integers(0, 10_000))
@quick
def test_transforms_make_adapters_dense(tiny: Any, seed: int) -> None:
    """Trimming nothing away changes nothing; a member on disk stays what it was."""
    folder = Path(tempfile.mkdtemp())
    world = Adapters(tiny, folder, seed, torch.float32)
    live = world.live(tiny, transform=Trim(1.0))
    assert not any(segment.factors for segment in live.bank.segments)
    table = world.table()
    for _ in range(2):
        live.write(table)
        for name, exact in world.merged(table).items():
            assert tiny.one_rounding(tiny.weights(live)[name], exact, slack=1e-7)
        for number, member in enumerate(world.members):
            live.write_source(member.source)
            for name, value in live.tensors().items():
                assert tiny.one_rounding(value, world.base[name].double() + world.exact[number][name], slack=1e-8)
    shutil.rmtree(folder)
