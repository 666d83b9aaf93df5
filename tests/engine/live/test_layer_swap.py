"""Layer swapping through the engine: every layer is one of the two models', to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.published import families


@pytest.fixture(scope="module", params=[False, True], ids=["head", "tied head"])
def deep(request: pytest.FixtureRequest, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of six layers with two members, `a` and `b`."""
    folder = tmp_path_factory.mktemp("deep")
    model = tiny.llama(tied=request.param, num_hidden_layers=6)
    model.save_pretrained(folder / "base")
    for seed, name in enumerate("ab", start=1):
        tiny.save_member(folder / name, model, seed)
    return folder


@pytest.mark.parametrize("by", ["layers", "layers x kinds", "tensors"])
@pytest.mark.parametrize(
    ("name", "owners"),
    [
        ("layer swap a around b 1+2", "abbbaa"),
        ("layer swap b around a 2+2", "bbaabb"),
        ("layer swap b around a 6+0", "bbbbbb"),
        ("layer swap base around b 1+1", [*"0bbbb0"]),
    ],
)
def test_layers_come_from_their_owners(tiny: Any, deep: Path, by: str, name: str, owners: str) -> None:
    models = tiny.opened(deep, deep / "a", deep / "b")
    groups = group_tensors(models.places(), by)
    live = models.live(models.build_bank(BankOptions()), groups)
    (table,) = (table for family in families(groups, models.names) if (table := family.make(name)))
    live.write(table)
    sources = {
        key: load_file(deep / folder / "model.safetensors")
        for key, folder in zip("ab0", ("a", "b", "base"), strict=True)
    }
    for tensor, value in tiny.weights(live).items():
        layer = int(tensor.split(".")[2]) if ".layers." in tensor else -1 if "norm" in tensor or "head" in tensor else 0
        assert tiny.same_bits(value, sources[owners[layer]][tensor]), (tensor, layer)


def test_zones_are_averages(tiny: Any, deep: Path) -> None:
    models = tiny.opened(deep, deep / "a", deep / "b")
    groups = group_tensors(models.places(), "layers")
    live = models.live(models.build_bank(BankOptions()), groups)
    (table,) = (
        t for family in families(groups, models.names) if (t := family.make("layer swap a around b 1+1 zone 1"))
    )
    live.write(table)
    a, b = (load_file(deep / name / "model.safetensors") for name in "ab")
    for tensor, value in tiny.weights(live).items():
        if ".layers.1." in tensor or ".layers.4." in tensor:
            torch.testing.assert_close(value, (a[tensor] + b[tensor]) / 2, rtol=1e-6, atol=1e-7)
