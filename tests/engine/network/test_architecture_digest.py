"""The identity of a live module but for its weights: it changes with what changes the outputs and nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from mergesearch.engine.network.architecture import architecture_digest
from mergesearch.plugins import load_object

OWN = """
import torch
from torch import nn

class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.scale = nn.Linear(2, 2), {scale}

    def forward(self, inputs):
        return {outputs}
"""


def llama(**options: Any) -> Any:
    sizes: dict[str, Any] = dict.fromkeys(("hidden_size", "intermediate_size", "vocab_size"), 16)
    config = LlamaConfig(**sizes, num_hidden_layers=1, num_attention_heads=2, **options)
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def own(folder: Path, scale: float = 1.0, outputs: str = "self.layer(inputs)") -> nn.Module:
    folder.mkdir()
    path = folder / "own.py"
    path.write_text(OWN.format(scale=scale, outputs=outputs))
    built: nn.Module = load_object(f"{path}:Own")()
    return built


def test_weights_hooks_and_folders_do_not_matter(tmp_path: Path) -> None:
    model = llama()
    expected = architecture_digest(model)
    with torch.no_grad():
        next(model.parameters()).fill_(3.0)
    next(iter(model.children())).register_forward_hook(lambda *_: None)
    assert architecture_digest(model.eval()) == expected
    model.save_pretrained(tmp_path / "here")
    loaded = [AutoModelForCausalLM.from_pretrained(tmp_path / "here")]
    (tmp_path / "here").rename(tmp_path / "there")
    loaded.append(AutoModelForCausalLM.from_pretrained(tmp_path / "there"))
    assert len({architecture_digest(one) for one in loaded}) == 1


@pytest.mark.parametrize("options", [{"rms_norm_eps": 0.1}, {"rope_theta": 5.0}, {"hidden_act": "gelu"}])
def test_settings_matter(options: dict[str, Any]) -> None:
    assert architecture_digest(llama(**options)) != architecture_digest(llama())


def test_the_generation_configuration_matters() -> None:
    other = llama()
    other.generation_config.repetition_penalty = 3.0
    assert architecture_digest(other) != architecture_digest(llama())


@pytest.mark.parametrize("change", [{"scale": 2.0}, {"outputs": "-self.layer(inputs)"}])
def test_code_and_attributes_of_a_module_of_ones_own_matter(change: dict[str, Any], tmp_path: Path) -> None:
    first, again, other = own(tmp_path / "a"), own(tmp_path / "b"), own(tmp_path / "c", **change)
    assert architecture_digest(first) == architecture_digest(again) != architecture_digest(other)


@pytest.mark.parametrize("wrap", [dict, lambda **values: SimpleNamespace(**values)])
def test_configurations_of_any_kind_matter(wrap: Callable[..., Any]) -> None:
    def configured(depth: int) -> str:
        model: Any = nn.Linear(1, 1)
        model.config = wrap(depth=depth, path=Path("/nowhere"))
        return architecture_digest(model)

    assert configured(1) == configured(1) != configured(2)


def test_every_process_finds_the_same() -> None:
    code = (
        "from torch import nn; from mergesearch.engine.network.architecture import architecture_digest; "
        "print(architecture_digest(nn.Sequential(nn.Linear(2, 2), nn.GELU())))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert found == architecture_digest(nn.Sequential(nn.Linear(2, 2), nn.GELU()))
