"""The mergekit recipe: its filters pick the right group for every tensor, and mergekit gives the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.export.mergekit_recipe import mergekit_recipe
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import InputError
from mergesearch.spaces.groups import Groups, group_tensors
from mergesearch.spaces.table import CoefficientTable


def weight_of(name: str, weight: Any) -> float:
    """What mergekit makes of a weight: the value of the first filter that is a substring of the name."""
    if not isinstance(weight, list):
        return float(weight)
    return next(float(entry["value"]) for entry in weight if entry["filter"] in name)


def recipe(groups: Groups, members: Any) -> dict[str, Any]:
    table = CoefficientTable.of(np.asarray(members, dtype=float))
    return mergekit_recipe(
        table, groups, "base", {f"m{n}": f"path{n}" for n in range(table.members.shape[1])}, "bfloat16"
    )


def assert_filters_pick(tiny: Any, assigned: dict[str, int]) -> None:
    numbers = {group: rank for rank, group in enumerate(dict.fromkeys(assigned.values()))}
    groups = tiny.groups_of({name: numbers[group] for name, group in assigned.items()})
    (model,) = recipe(groups, np.arange(len(groups.names))[:, None])["models"]
    found = {name: weight_of(name, model["parameters"]["weight"]) for name in groups.of}
    assert found == {name: float(group) for name, group in groups.of.items()}


@pytest.mark.parametrize(
    "assigned",
    [
        {"a.w": 0, "b.a.w": 1, "a.w2": 2},
        {"layers.1.w": 0, "layers.10.w": 1, "layers.11.w": 2, "layers.1.v": 0},
        {"a.w": 0, "a.v": 0, "ba.w": 1, "ba.x": 1},
        {"ba.w": 0, "ba.x": 0, "cba.w": 1, "cba.v": 1, "a.w": 2},
        {"w": 0, "ww": 1, "www": 0, "x.www": 1},
        {"model.norm.weight": 0, "model.layers.0.norm.weight": 1, "norm.weight": 2},
    ],
)
def test_filters_survive_names_within_names(tiny: Any, assigned: dict[str, int]) -> None:
    assert_filters_pick(tiny, assigned)


NAME = st.lists(st.sampled_from(["a", "b", "ab", "1", "11"]), min_size=1, max_size=4).map(".".join)


@given(assigned=st.dictionaries(NAME, st.integers(0, 3), min_size=2, max_size=12))
@settings(max_examples=300, deadline=None)
def test_filters_survive_any_names(tiny: Any, assigned: dict[str, int]) -> None:
    if len(set(assigned.values())) > 1:
        assert_filters_pick(tiny, assigned)


def test_one_number_where_all_groups_agree(tiny: Any) -> None:
    groups = tiny.groups_of({"a.w": 0, "b.w": 1})
    first, second = recipe(groups, [[0.3, 1.0], [0.3, 0.5]])["models"]
    assert first == {"model": "path0", "parameters": {"weight": 0.3}}
    assert {"filter": "b.w", "value": 0.5} in second["parameters"]["weight"]


def test_what_mergekit_cannot_express_is_refused(tiny: Any) -> None:
    groups = tiny.groups_of({"a.w": 0})
    scaled = CoefficientTable(np.ones((1, 1)), np.array([0.5]))
    with pytest.raises(InputError, match=r"c₀ ≠ 1"):
        mergekit_recipe(scaled, groups, "base", {"m": "path"}, "float32")
    with pytest.raises(InputError, match=r"misread the path 'a\+b' .*; rename it"):
        mergekit_recipe(CoefficientTable.of(np.ones((1, 1))), groups, "base", {"m": "a+b"}, "float32")


GROUPINGS: dict[str, Any] = {
    "model": "model",
    "layers": "layers",
    "layers x kinds": "layers x kinds",
    "tensors": "tensors",
    "patterns": {"patterns": {"attention": "*self_attn*", "norms": "*norm*", "rest": "*"}},
}


def run_mergekit(config: dict[str, Any], out: Path) -> dict[str, Any]:
    from mergekit.config import MergeConfiguration
    from mergekit.merge import run_merge
    from mergekit.options import MergeOptions

    read_back = MergeConfiguration.model_validate(yaml.safe_load(yaml.safe_dump(config)))
    run_merge(read_back, str(out), MergeOptions(copy_tokenizer=False, lazy_unpickle=True, quiet=True))
    return dict(load_file(out / "model.safetensors")) if (out / "model.safetensors").is_file() else _shards(out)


def _shards(out: Path) -> dict[str, Any]:
    return {name: value for file in out.glob("*.safetensors") for name, value in load_file(file).items()}


@pytest.mark.slow
@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_mergekit_gives_the_same_weights(tiny: Any, zoo: Path, tmp_path: Path, grouping: str, dtype: str) -> None:
    """To one rounding of the output dtype."""
    import torch

    model = tiny.llama(dtype=getattr(torch, dtype))
    model.save_pretrained(tmp_path / "base")
    members = {name: str(tiny.save_member(tmp_path / name, model, seed)) for seed, name in enumerate("abc")}
    models = Models(ModelPaths(str(tmp_path / "base"), members, device="cpu"))
    groups = group_tensors(models.places(), GROUPINGS[grouping])
    table = CoefficientTable.of(np.random.default_rng(0).uniform(-0.3, 1.2, (len(groups), 3)))
    live = models.live(models.build_bank(BankOptions()), groups)
    live.write(table)
    config = mergekit_recipe(table, groups, str(tmp_path / "base"), members, dtype)
    theirs = run_mergekit(config, tmp_path / "out")
    assert set(theirs) == set(live.tensors())
    for name, value in live.tensors().items():
        assert theirs[name].dtype == value.dtype
        assert tiny.one_rounding(theirs[name], value, slack=5e-9)
