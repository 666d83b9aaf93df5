"""LoRA adapters made by PEFT: the factored merge equals PEFT's own, for every layer type and option."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.adapter import AdapterCheckpoint
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {"r": 4, "target_modules": ["q_proj", "down_proj"]},
    "rank-stabilised": {"r": 4, "lora_alpha": 3, "use_rslora": True, "target_modules": "all-linear"},
    "patterns": {
        "r": 4,
        "target_modules": ["q_proj", "v_proj", "up_proj"],
        "rank_pattern": {"v_proj": 2, "layers.1.mlp.up_proj": 3},
        "alpha_pattern": {"proj": 99, r"layers\.[01]\.self_attn\.q_proj": 16, "model.layers.0.self_attn.v_proj": 1},
    },
    "embedding": {"r": 2, "target_modules": ["embed_tokens", "o_proj"]},
    "whole modules": {"r": 2, "target_modules": ["k_proj"], "modules_to_save": ["lm_head", "norm"]},
}


def merged_by_peft(model: Any, folders: list[Path], weights: list[float]) -> dict[str, torch.Tensor]:
    """The sum of the adapters, each with its weight, as PEFT merges it into a copy of the model."""
    from peft import PeftModel

    adapted = PeftModel.from_pretrained(copy.deepcopy(model), folders[0], adapter_name="0")
    for number, folder in enumerate(folders[1:], start=1):
        adapted.load_adapter(folder, adapter_name=str(number))
    if len(folders) > 1:
        names = [str(number) for number in range(len(folders))]
        adapted.add_weighted_adapter(names, weights, "sum", combination_type="cat")
        adapted.set_adapter("sum")
    return {name: value.detach() for name, value in floating_tensors(adapted.merge_and_unload()).items()}


def opened(base: Path, members: dict[str, Path], by: str = "model", **options: Any) -> tuple[Models, LiveModel]:
    models = Models(ModelPaths(str(base), {name: str(path) for name, path in members.items()}, device="cpu"))
    return models, models.live(models.build_bank(BankOptions(**options)), group_tensors(models.places(), by))


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_one_adapter_equals_peft(tiny: Any, tmp_path: Path, family: str, options: str) -> None:
    """To one rounding of float32; the weights of Conv1D and of embeddings are stored transposed."""
    model = getattr(tiny, family)()
    chosen = OPTIONS[options]
    if family == "gpt2":
        rename = {"embed_tokens": ["wpe"], "lm_head": ["wpe"], "norm": ["ln_f"], "down_proj": ["mlp.c_proj"]}
        named = {key: chosen[key] for key in chosen if key not in ("rank_pattern", "alpha_pattern")}
        for key in ("target_modules", "modules_to_save"):
            if key in named and named[key] != "all-linear":
                named[key] = [new for old in named[key] for new in rename.get(old, ["c_attn", "attn.c_proj"])]
        chosen = named
    model.save_pretrained(tmp_path / "base")
    folder = tiny.save_adapter(tmp_path / "lora", model, 1, **chosen)
    _, live = opened(tmp_path / "base", {"lora": folder})
    live.write(CoefficientTable.tied(np.ones(1), 1))
    for name, value in merged_by_peft(model, [folder], [1.0]).items():
        torch.testing.assert_close(tiny.weights(live)[name], value, rtol=2e-7, atol=2e-8)


def test_linear_layers_beside_conv1d_keep_their_orientation(tiny: Any, tmp_path: Path) -> None:
    """PEFT saves the `fan_in_fan_out` of the last module that it adapted: wrong for the square ones here."""
    model = tiny.gpt2()
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(model.lm_head.weight.detach().clone())
    model.save_pretrained(tmp_path / "base")
    folder = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["attn.c_proj", "lm_head"])
    assert AdapterCheckpoint(folder).options["fan_in_fan_out"] is False
    _, live = opened(tmp_path / "base", {"lora": folder})
    live.write(CoefficientTable.tied(np.ones(1), 1))
    for name, value in merged_by_peft(model, [folder], [1.0]).items():
        torch.testing.assert_close(tiny.weights(live)[name], value, rtol=2e-7, atol=2e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_mixtures_equal_peft_cat(tiny: Any, tmp_path: Path, dtype: torch.dtype) -> None:
    """Different ranks, alphas and modules: Σ cᵢ·sᵢ·Bᵢ·Aᵢ, rounded once."""
    model = tiny.llama(dtype=dtype)
    model.save_pretrained(tmp_path / "base")
    layers = {"target_modules": ["q_proj", "down_proj"]}
    folders = [
        tiny.save_adapter(tmp_path / "a", model, 1, r=2, lora_alpha=6, **layers),
        tiny.save_adapter(tmp_path / "b", model, 2, r=4, lora_alpha=2, use_rslora=True, **layers),
    ]
    _, live = opened(tmp_path / "base", dict(zip("ab", folders, strict=True)))
    live.write(CoefficientTable.of(np.array([[0.3, 1.2]])))
    exact = merged_by_peft(copy.deepcopy(model).double(), folders, [0.3, 1.2])
    for name, value in exact.items():
        assert tiny.one_rounding(tiny.weights(live)[name], value, slack=1e-8)


def test_fingerprint_follows_factors_and_scale(tiny: Any, tmp_path: Path) -> None:
    """Another factor or another alpha is another bank; the same adapter elsewhere is not."""
    model = tiny.llama()
    model.save_pretrained(tmp_path / "base")
    options = {"one": (1, 4), "copy": (1, 4), "seed": (2, 4), "alpha": (1, 5)}
    found = {
        name: opened(
            tmp_path / "base", {"lora": tiny.save_adapter(tmp_path / name, model, seed, r=2, lora_alpha=alpha)}
        )
        for name, (seed, alpha) in options.items()
    }
    fingerprints = {name: live.bank.fingerprint for name, (_, live) in found.items()}
    assert fingerprints["one"] == fingerprints["copy"]
    assert len(set(fingerprints.values())) == 3


def test_adapters_and_whole_members_mix(tiny: Any, tmp_path: Path) -> None:
    """On the same matrix, with either storage; zero and whole-member rows stay exact."""
    model = tiny.llama(dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "base")
    full = tiny.save_member(tmp_path / "full", model, 5)
    lora = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["q_proj"], modules_to_save=["lm_head"])
    for storage in ("exact", "fp16"):
        models, live = opened(tmp_path / "base", {"full": full, "lora": lora}, storage=storage)
        base, member = ({n: source.read(n) for n in models.base.checkpoint.headers} for source in sources(models))
        whole = tiny.weights(live)
        live.write(CoefficientTable.of(np.array([[0.4, 0.7]])))
        delta = merged_by_peft(copy.deepcopy(model).double(), [lora], [1.0])
        for name, value in live.tensors().items():
            start = base[name].double()
            exact = start + 0.4 * (member[name].double() - start) + 0.7 * (delta[name] - start)
            assert tiny.one_rounding(value, exact, slack=1e-6 if storage == "exact" else 1e-5)
        live.write(CoefficientTable.of(np.zeros((1, 2))))
        assert all(tiny.same_bits(value, whole[name]) for name, value in live.tensors().items())
        if storage == "exact":
            live.write(CoefficientTable.of(np.array([[1.0, 0.0]])))
            assert all(tiny.same_bits(value, member[name]) for name, value in live.tensors().items())


def sources(models: Models) -> list[Any]:
    return [models.base, models.members[0].source]


def test_scaled_base_under_adapters(tiny: Any, tmp_path: Path) -> None:
    """c₀ ≠ 1 scales matrices with factored deltas too, and c₀ = 1 restores them bit for bit."""
    model = tiny.llama()
    model.save_pretrained(tmp_path / "base")
    lora = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["q_proj"])
    _, live = opened(tmp_path / "base", {"lora": lora}, by="tensors")
    whole, groups = tiny.weights(live), len(live.groups)
    for coefficient in (0.0, 0.5):
        live.write(CoefficientTable(np.full((groups, 1), coefficient), np.full(groups, 0.25)))
        live.write(CoefficientTable(np.zeros((groups, 1)), np.full(groups, 0.25)))
        assert all(torch.equal(value, 0.25 * whole[name]) for name, value in live.tensors().items())
        live.write(CoefficientTable.of(np.zeros((groups, 1))))
        assert all(tiny.same_bits(value, whole[name]) for name, value in live.tensors().items())


def test_a_transform_sees_the_product_of_the_factors(tiny: Any, tmp_path: Path) -> None:
    """Trimming keeps the largest entries of s·B·A, not of the factors; disk and transform stay apart."""
    from mergesearch.engine.transforms.trim import Trim

    model = tiny.llama()
    model.save_pretrained(tmp_path / "base")
    lora = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["q_proj"])
    models, live = opened(tmp_path / "base", {"lora": lora}, transform=Trim(0.25))
    name = "model.layers.0.self_attn.q_proj.weight"
    base = tiny.weights(live)[name]
    full = merged_by_peft(model, [lora], [1.0])[name]
    live.write(CoefficientTable.of(np.ones((1, 1))))
    torch.testing.assert_close(tiny.weights(live)[name], base + Trim(0.25).trim(full - base), rtol=2e-7, atol=2e-7)
    live.write_source(models.members[0].source)
    torch.testing.assert_close(tiny.weights(live)[name], full, rtol=2e-7, atol=2e-8)
