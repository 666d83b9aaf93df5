"""Adapters that cannot be merged are refused by text, from their headers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mergesearch.engine.checkpoints.adapter import AdapterCheckpoint
from mergesearch.engine.checkpoints.checkpoint import Checkpoint
from mergesearch.engine.checkpoints.opening import open_checkpoint
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import CheckpointError


@pytest.fixture
def adapter(tiny: Any, tmp_path: Path) -> Path:
    """An adapter of the base in the same folder."""
    model = tiny.llama()
    model.save_pretrained(tmp_path / "base")
    folder: Path = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["q_proj"])
    return folder


def opened(adapter: Path) -> Models:
    return Models(ModelPaths(str(adapter.parent / "base"), {"lora": str(adapter)}, device="cpu"))


def change(adapter: Path, **options: Any) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **options}))


def rewrite(adapter: Path, function: Any) -> None:
    path = adapter / "adapter_model.safetensors"
    save_file(function(load_file(path)), path)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"peft_type": "IA3"}, "is a IA3 adapter; only LoRA is linear"),
        ({"use_dora": True}, "uses DoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, "started from 'pissa_niter_4', which changes the base as well"),
        ({"init_lora_weights": "olora"}, "path_initial_model_for_weight_conversion"),
    ],
)
def test_adapters_that_are_not_linear_are_refused(adapter: Path, options: dict[str, Any], text: str) -> None:
    change(adapter, **options)
    with pytest.raises(CheckpointError, match=text):
        open_checkpoint(adapter)


@pytest.mark.parametrize("start", [True, False, "gaussian", "eva", "orthogonal"])
def test_starts_that_leave_the_base_alone_are_accepted(adapter: Path, start: Any) -> None:
    change(adapter, init_lora_weights=start)
    assert isinstance(open_checkpoint(adapter), AdapterCheckpoint)


def test_a_factor_without_its_partner_is_refused(adapter: Path) -> None:
    rewrite(adapter, lambda tensors: {name: t for name, t in tensors.items() if "layers.1" in name or "lora_A" in name})
    with pytest.raises(CheckpointError, match=r"'model.layers.0.self_attn.q_proj.weight' has only factor A"):
        opened(adapter)


def test_another_shape_is_refused(adapter: Path) -> None:
    rewrite(adapter, lambda tensors: {n: torch.zeros(20, 2) if "lora_B" in n else t for n, t in tensors.items()})
    with pytest.raises(CheckpointError, match=r"adapter 'lora': '.*q_proj.weight' is 20 x 16, the base has 16 x 16"):
        opened(adapter)


def test_convolutions_are_refused(adapter: Path) -> None:
    rewrite(adapter, lambda tensors: {name: value[:, :, None, None].clone() for name, value in tensors.items()})
    with pytest.raises(CheckpointError, match=r"factors of 4 dimensions; only matrices merge"):
        opened(adapter)


def test_a_matrix_that_the_base_lacks_is_refused(adapter: Path) -> None:
    rewrite(adapter, lambda tensors: {name.replace("q_proj", "z_proj"): value for name, value in tensors.items()})
    with pytest.raises(
        CheckpointError, match=r"changes 'model.layers.0.self_attn.z_proj.weight', which the base lacks"
    ):
        opened(adapter)


def test_a_tied_matrix_is_refused(tiny: Any, tmp_path: Path) -> None:
    """An adapter on a head that is the embedding as well would move both."""
    model = tiny.llama(tied=True)
    model.save_pretrained(tmp_path / "base")
    folder = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["lm_head"])
    with pytest.raises(CheckpointError, match=r"'lm_head.weight', which the base ties to 'model.embed_tokens.weight'"):
        opened(folder)


def test_trained_biases_of_factors_are_refused(adapter: Path) -> None:
    rewrite(adapter, lambda tensors: {**tensors, "base_model.model.x.lora_B.bias": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"1 tensors that the base lacks, such as 'x.lora_B.bias'"):
        opened(adapter)


def test_factors_that_are_not_finite_are_refused(adapter: Path) -> None:
    from mergesearch.engine.bank.member import BankOptions

    rewrite(adapter, lambda tensors: {name: value / 0 for name, value in tensors.items()})
    with pytest.raises(CheckpointError, match=r"member 'lora': tensor '.*q_proj.weight' holds"):
        opened(adapter).build_bank(BankOptions())


def test_missing_weights_are_refused(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no file '.*adapter_model.safetensors'"):
        opened(adapter)


def test_pickled_adapters_open(adapter: Path) -> None:
    """`adapter_model.bin`, as PEFT wrote it before safetensors."""
    path = adapter / "adapter_model.safetensors"
    torch.save(load_file(path), adapter / "adapter_model.bin")
    names = set(AdapterCheckpoint(adapter).factored)
    path.unlink()
    assert set(AdapterCheckpoint(adapter).factored) == names


def test_opening_reads_no_factor(adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    monkeypatch.setattr(AdapterCheckpoint, "low_rank", lambda checkpoint, name, *_: reads.append(name))
    assert isinstance(opened(adapter).members[0].source.checkpoint, Checkpoint)
    assert not reads
