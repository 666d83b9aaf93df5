"""Paths to a live model: what cannot be loaded says why, and members get their names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.naming import open_members
from mergesearch.engine.checkpoints.opening import open_checkpoint
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.loading import load_model, load_tokenizer
from mergesearch.errors import CheckpointError, InputError


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "neither of models.members and models.trajectory given"),
        ({"base": "b", "members": ["a"], "trajectory": "t*"}, "both of models.members and models.trajectory given"),
        ({"members": ["a"]}, "models.base is missing; give the checkpoint that the members were fine-tuned from"),
        ({"base": "{zoo}/base", "members": ["{zoo}/z*"]}, "no file or folder matches '.*/z\\*'"),
        (
            {"base": "{zoo}/base", "members": ["{zoo}/a"], "device": "cpu:9"},
            "device 'cpu:9' is not there.*; give one of",
        ),
        (
            {"base": "{zoo}/base", "members": ["{zoo}/a"], "dtype": "bfloat61"},
            "dtype 'bfloat61'; did you mean 'bfloat16'",
        ),
        ({"base": "{zoo}/base", "members": ["{zoo}/a"], "dtype": "int8"}, "cannot run in dtype 'int8'"),
        ({"base": "{zoo}/base", "members": ["{zoo}/a"], "dtype": "nn"}, "cannot run in dtype 'nn'"),
    ],
)
def test_paths_that_cannot_be_used(zoo: Path, options: dict[str, Any], text: str) -> None:
    def filled(value: Any) -> Any:
        return [filled(one) for one in value] if isinstance(value, list) else value.format(zoo=zoo)

    with pytest.raises(InputError, match=text):
        Models(ModelPaths(**{"device": "cpu", **{key: filled(value) for key, value in options.items()}}))


def test_members_are_named_by_mapping_path_or_glob(zoo: Path, tmp_path: Path) -> None:
    assert list(open_members({"x": str(zoo / "a")})) == ["x"]
    assert list(open_members([str(zoo / "[ab]")])) == ["a", "b"]
    shutil.copytree(zoo / "a", tmp_path / "a")
    with pytest.raises(InputError, match=r"would both be member 'a'; give members as a mapping of names to paths"):
        open_members([str(zoo / "a"), str(tmp_path / "a")])
    save_file({"w": torch.ones(1)}, tmp_path / "expert.v2.safetensors")
    assert list(open_members([str(tmp_path / "expert.v2.safetensors")])) == ["expert.v2"]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_dtype_of_the_live_model(tiny: Any, zoo: Path, dtype: str) -> None:
    """Base and members are rounded to it, once."""
    paths = ModelPaths(str(zoo / "base"), {"a": str(zoo / "a")}, dtype=dtype, device="cpu")
    models = Models(paths)
    bank = models.build_bank(BankOptions())
    assert {tensor.dtype for tensor in models.model.parameters()} == {getattr(torch, dtype)}
    (segment,) = bank.segments
    stored = load_file(zoo / "base" / "model.safetensors")
    assert all(tiny.same_bits(s.view(segment.base), stored[s.name].to(getattr(torch, dtype))) for s in segment.slots)


def test_a_network_takes_a_lone_file(tiny: Any, network: str, tmp_path: Path) -> None:
    state = tiny.normed().state_dict()
    save_file(state, tmp_path / "base.safetensors")
    torch.save({"state_dict": state}, tmp_path / "a.ckpt")
    members = {"a": str(tmp_path / "a.ckpt")}
    models = Models(ModelPaths(str(tmp_path / "base.safetensors"), members, network=network, device="cpu"))
    assert models.build_bank(BankOptions()).identical == ("a",)
    assert models.tokenizer is None
    assert not models.model.training
    with pytest.raises(
        InputError, match=r"is no folder of transformers or diffusers.*set models.network to a function"
    ):
        Models(ModelPaths(str(tmp_path / "base.safetensors"), members, device="cpu"))


def test_a_network_that_does_not_fit_is_named(network: str, tmp_path: Path) -> None:
    save_file({"stem.weight": torch.ones(4, 3, 3, 3), "stem.bais": torch.ones(4)}, tmp_path / "base.safetensors")
    base = open_checkpoint(tmp_path / "base.safetensors")
    with pytest.raises(CheckpointError, match=r"does not fit the module that '.*saved.py:normed' builds \(Missing key"):
        load_model(base, network)
    with pytest.raises(InputError, match=r"returns a OrderedDict, no torch module; return one"):
        load_model(base, "collections:OrderedDict")
    with pytest.raises(InputError, match=r"has no 'norm3d'; did you mean 'normed'"):
        load_model(base, network.replace("normed", "norm3d"))


def broken(zoo: Path, tmp_path: Path) -> Path:
    shutil.copytree(zoo / "base", tmp_path / "base")
    return tmp_path / "base"


def test_base_whose_weights_are_missing_is_refused(zoo: Path, tmp_path: Path) -> None:
    """Transformers would fill them with random numbers."""
    path = broken(zoo, tmp_path) / "model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if "up_proj" not in name}, path, {"format": "pt"})
    with pytest.raises(
        CheckpointError, match=r"the base's files lack 2 tensors of its network, such as '.*up_proj.weight'; copy"
    ):
        Models(ModelPaths(str(path.parent), {"a": str(zoo / "a")}, device="cpu"))


def test_base_of_another_shape_than_its_configuration(zoo: Path, tmp_path: Path) -> None:
    path = broken(zoo, tmp_path) / "model.safetensors"
    save_file({**load_file(path), "model.norm.weight": torch.ones(3)}, path, {"format": "pt"})
    with pytest.raises(CheckpointError, match=r"transformers cannot load '.*base' as LlamaForCausalLM"):
        load_model(open_checkpoint(path.parent), None)


def test_truncated_base_is_named(zoo: Path, tmp_path: Path) -> None:
    path = broken(zoo, tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"model.safetensors' is truncated"):
        load_model(open_checkpoint(path.parent), None)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"architectures": ["NoSuchModel"]}, r"is of architecture \['NoSuchModel'\], which this transformers does not"),
        ({"architectures": None}, "is of architecture none"),
        ({"architectures": ["LlamaForCausalLM"], "hidden_size": "many"}, "transformers cannot load"),
    ],
)
def test_configurations_that_cannot_be_loaded(zoo: Path, tmp_path: Path, config: Any, text: str) -> None:
    path = broken(zoo, tmp_path) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
    with pytest.raises(CheckpointError, match=text):
        load_model(open_checkpoint(path.parent), None)


def test_tokenizer_of_the_base(zoo: Path) -> None:
    tokenizer = load_tokenizer(open_checkpoint(zoo / "base"))
    assert tokenizer is not None
    assert tokenizer("red blue")["input_ids"] == [1, 3]
