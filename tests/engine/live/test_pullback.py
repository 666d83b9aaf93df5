"""Coefficient gradients equal those of autograd through the merge, and leave no trace."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.devices.devices import HOST
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.storage.delta import dense, fetched
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

TOKENS = torch.arange(24).reshape(2, 12) % 16


def opened(folder: Path, tiny: Any, tied: bool, dtype: str, by: str, count: int = 3) -> tuple[Models, LiveModel]:
    """A Llama with grouped-query attention and three members near it."""
    options = {"num_attention_heads": 4, "num_key_value_heads": 2}
    base = tiny.llama(tied=tied, dtype=getattr(torch, dtype), **options)
    base.save_pretrained(folder / "base")
    members = {f"m{seed}": str(tiny.save_member(folder / f"m{seed}", base, seed, sigma=0.05)) for seed in range(count)}
    models = Models(ModelPaths(str(folder / "base"), members, dtype=dtype, device=str(tiny.device)))
    groups = group_tensors(models.places(), by)
    return models, models.live(models.build_bank(BankOptions()), groups)


def loss_of(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Next-token cross entropy, taken on the CPU in double precision."""
    logits = model(input_ids=tokens.to(next(model.parameters()).device), use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1).cpu().double(), tokens[:, 1:].flatten())


def by_autograd(models: Models, live: LiveModel, rows: np.ndarray, tokens: torch.Tensor) -> np.ndarray:
    """∂L/∂C with the whole merge inside of the graph."""
    table = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
    names = live.bank.names
    base = {name: models.base.read(name).double() for name in names}
    deltas = [{name: member.source.read(name).double() - base[name] for name in names} for member in models.members]
    kinds = {name: (live.tensors()[name].device, live.tensors()[name].dtype) for name in names}
    merged = {
        name: (base[name] + sum(table[live.groups.of[name], i] * delta[name] for i, delta in enumerate(deltas))).to(
            *kinds[name]
        )
        for name in names
    }

    class Loss(torch.nn.Module):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.model = model

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return loss_of(self.model, tokens)

    prefixed: Mapping[str, torch.Tensor] = {f"model.{name}": value for name, value in merged.items()}
    functional_call(Loss(models.model), dict(prefixed), (tokens,), tie_weights=True).backward()
    assert table.grad is not None
    return table.grad.numpy()


def pulled_back(live: LiveModel, rows: np.ndarray, *batches: torch.Tensor) -> np.ndarray:
    live.write(CoefficientTable.of(rows))
    with live.pullback() as gradient:
        for tokens in batches:
            (loss_of(live.model, tokens) / len(batches)).backward()
    return gradient.members


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("by", ["model", "layers", "tensors"])
@pytest.mark.parametrize(("dtype", "limit"), [("float64", 1e-12), ("float32", 1e-5)])
def test_it_equals_autograd_through_the_merge(
    tiny: Any, tmp_path: Path, tied: bool, by: str, dtype: str, limit: float
) -> None:
    models, live = opened(tmp_path, tiny, tied, dtype, by)
    rows = np.random.default_rng(0).uniform(-0.2, 0.6, (len(live.groups), 3))
    reference = by_autograd(models, live, rows, TOKENS)
    found = pulled_back(live, rows, TOKENS)
    assert np.abs(reference).max() > 1e-3
    assert np.linalg.norm(found - reference) <= limit * np.linalg.norm(reference)


def test_parts_of_a_batch_add_up(tiny: Any, tmp_path: Path) -> None:
    _, live = opened(tmp_path, tiny, True, "float32", "layers")
    rows = np.full((len(live.groups), 3), 0.3)
    whole = pulled_back(live, rows, TOKENS)
    np.testing.assert_allclose(pulled_back(live, rows, TOKENS[:1], TOKENS[1:]), whole, rtol=1e-4, atol=1e-7)


def test_small_deltas_in_bf16_keep_their_gradient(tiny: Any, tmp_path: Path) -> None:
    """⟨G, d⟩ with fp32 sums; the difference of ⟨G, member⟩ and ⟨G, base⟩ in bf16 would be noise here."""
    _, live = opened(tmp_path, tiny, False, "bfloat16", "tensors")
    rows = np.full((len(live.groups), 3), 0.1)
    kept: dict[str, torch.Tensor] = {}
    live.write(CoefficientTable.of(rows))
    parameters = dict(live.model.named_parameters())
    for name, parameter in parameters.items():
        parameter.requires_grad_(True)
        kept[name] = torch.autograd.grad(loss_of(live.model, TOKENS), parameter, allow_unused=True)[0].cpu().double()
    expected = np.zeros_like(rows)
    for segment in live.bank.segments:
        for slot in segment.slots:
            for column, buffer in zip(segment.columns, segment.deltas, strict=True):
                delta = dense(fetched(buffer, 0, segment.active, HOST), segment.base.to(HOST), torch.float64)
                product = (kept[slot.name] * slot.view(delta)).sum()
                expected[live.groups.of[slot.name], column] += float(product)
    found = pulled_back(live, rows, TOKENS)
    assert np.abs(found - expected).max() <= 1e-3 * np.abs(expected).max()


def test_no_gradient_outlives_its_use(tiny: Any, tmp_path: Path) -> None:
    """Never more than a few gradients live at once, and none afterwards; flags and old gradients come back."""
    models, live = opened(tmp_path, tiny, False, "float32", "layers")
    frozen = next(models.model.parameters())
    frozen.requires_grad_(False)
    other = list(models.model.parameters())[-1]
    other.grad = torch.ones_like(other)
    held: list[int] = []

    def count(*_: Any) -> None:
        held.append(sum(p.grad.numel() for p in models.model.parameters() if p.grad is not None))

    live.write(CoefficientTable.of(np.full((len(live.groups), 3), 0.2)))
    with live.pullback():
        for parameter in models.model.parameters():
            parameter.register_post_accumulate_grad_hook(count)
        loss_of(live.model, TOKENS).backward()
    assert held
    assert max(held) <= max(p.numel() for p in models.model.parameters())
    assert not frozen.requires_grad
    assert other.grad is not None
    assert torch.equal(other.grad, torch.ones_like(other))
    assert all(p.grad is None for p in models.model.parameters() if p is not other)
    gc.collect()


def test_tensors_that_no_member_changes_get_no_gradient(tiny: Any, tmp_path: Path) -> None:
    """The backward pass stops at the deepest tensor that any member changes."""
    base = tiny.llama()
    base.save_pretrained(tmp_path / "base")
    member = tiny.llama()
    with torch.no_grad():
        member.lm_head.weight.add_(0.1)
    member.save_pretrained(tmp_path / "member")
    models = Models(ModelPaths(str(tmp_path / "base"), {"m": str(tmp_path / "member")}, device=str(tiny.device)))
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "tensors"))
    live.write(CoefficientTable.of(np.full((len(live.groups), 1), 0.5)))
    with live.pullback() as gradient:
        assert [name for name, p in live.model.named_parameters() if p.requires_grad] == ["lm_head.weight"]
        loss_of(live.model, TOKENS).backward()
    changed = live.groups.of["lm_head.weight"]
    assert gradient.members[changed, 0] != 0
    assert np.count_nonzero(gradient.members) == 1


def test_adapters_stay_factored(tiny: Any, tmp_path: Path) -> None:
    """The gradient of a LoRA member is that of its dense delta."""
    base = tiny.llama()
    base.save_pretrained(tmp_path / "base")
    folders = {f"a{seed}": str(tiny.save_adapter(tmp_path / f"a{seed}", base, seed)) for seed in range(2)}
    models = Models(ModelPaths(str(tmp_path / "base"), folders, device=str(tiny.device)))
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "layers"))
    rows = np.random.default_rng(1).uniform(0, 1, (len(live.groups), 2))
    found = pulled_back(live, rows, TOKENS)
    step = 1e-2
    for group, member in ((1, 0), (2, 1)):
        values = []
        for sign in (1, -1):
            moved = rows.copy()
            moved[group, member] += sign * step
            live.write(CoefficientTable.of(moved))
            with torch.no_grad():
                values.append(float(loss_of(live.model, TOKENS)))
        assert found[group, member] == pytest.approx((values[0] - values[1]) / (2 * step), rel=2e-2, abs=1e-5)
