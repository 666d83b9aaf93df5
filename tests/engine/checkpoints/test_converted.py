"""Models whose files transformers converts while it loads them: mixtures of experts, vision transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.converted import ConvertedCheckpoint
from mergesearch.engine.export.export import export_model
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

_SIZES: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
_LANGUAGE = {**_SIZES, "num_key_value_heads": 2, "vocab_size": 32}


def _mixtral() -> Any:
    config = transformers.MixtralConfig(**_LANGUAGE, num_local_experts=3, bos_token_id=0, eos_token_id=1)
    return transformers.MixtralForCausalLM(config)


def _qwen_moe() -> Any:
    options: dict[str, Any] = {"num_experts": 4, "moe_intermediate_size": 8, "num_experts_per_tok": 2, "head_dim": 8}
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(**_LANGUAGE, **options))


def _vit() -> Any:
    return transformers.ViTForImageClassification(transformers.ViTConfig(**_SIZES, image_size=16, patch_size=8))


@pytest.fixture(params=[_mixtral, _qwen_moe, _vit], ids=["mixtral", "qwen3_moe", "vit"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A base and a member, as transformers saves them."""
    torch.manual_seed(0)
    model = request.param()
    model.save_pretrained(tmp_path / "base")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn_like(parameter)
    model.save_pretrained(tmp_path / "member")
    return tmp_path / "base", tmp_path / "member"


def test_they_merge_and_come_back(folders: tuple[Path, Path], tmp_path: Path) -> None:
    base, member = folders
    models = Models(ModelPaths(base=str(base), members=[str(member)], device="cpu"))
    assert isinstance(models.base_checkpoint, ConvertedCheckpoint)
    groups = group_tensors(models.places(), "model")
    live = models.live(models.build_bank(BankOptions()), groups)
    kind: Any = type(models.model)
    wanted = kind.from_pretrained(member).state_dict()
    live.write(CoefficientTable.of(np.ones((1, 1))))
    assert all(torch.equal(value, wanted[name]) for name, value in models.model.state_dict().items())

    live.write(CoefficientTable.of(np.full((1, 1), 0.5)))
    export_model(live, models.base, tmp_path / "merged", {})
    assert {path.name for path in (tmp_path / "merged").iterdir()} >= {"config.json", "model.safetensors"}
    again = kind.from_pretrained(tmp_path / "merged").state_dict()
    assert all(torch.equal(value, again[name]) for name, value in models.model.state_dict().items())


def test_a_member_of_another_architecture_is_still_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    from mergesearch.errors import CheckpointError

    config = transformers.BertConfig(**_SIZES, vocab_size=32)
    transformers.BertModel(config).save_pretrained(tmp_path / "other")
    with pytest.raises(CheckpointError, match="member 'other'"):
        Models(ModelPaths(base=str(folders[0]), members=[str(tmp_path / "other")], device="cpu"))
