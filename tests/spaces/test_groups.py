"""Groups of tensors on a small model of three layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.groups import Groups, group_tensors
from mergesearch.spaces.place import TensorPlace

PLACES = [
    TensorPlace("embed.weight", 100, None, 0.0, "embed_tokens"),
    TensorPlace("norm.weight", 10, None, 1.0, "norm"),
    *(
        TensorPlace(f"layers.{layer}.{kind}.weight", size, layer, layer / 2, kind)
        for layer in range(3)
        for kind, size in (("self_attn", 30), ("mlp", 60))
    ),
]


def members_of(groups: Groups, name: str) -> list[str]:
    return [tensor for tensor, group in groups.of.items() if groups.names[group] == name]


@pytest.mark.parametrize("by", ["model", "layers", "kinds", "layers x kinds", "tensors", {"blocks": 2}])
def test_every_tensor_has_one_group(by: Any) -> None:
    groups = group_tensors(PLACES, by)
    assert set(groups.of) == {place.name for place in PLACES}
    assert set(groups.of.values()) == set(range(len(groups)))
    assert groups.depths.shape == (len(groups.names),)


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("model", ["model"]),
        ("layers", ["input", "layer 0", "layer 1", "layer 2", "output"]),
        ("kinds", ["embed_tokens", "self_attn", "mlp", "norm"]),
        ({"blocks": 3}, ["block 0", "block 1", "block 2"]),
    ],
)
def test_names_in_order_of_depth(by: Any, names: list[str]) -> None:
    assert list(group_tensors(PLACES, by).names) == names


def test_layers_x_kinds() -> None:
    names = group_tensors(PLACES, "layers x kinds").names
    assert names[:3] == ("input embed_tokens", "layer 0 self_attn", "layer 0 mlp")
    assert names[-1] == "output norm"


def test_depth_is_weighted_by_size() -> None:
    expected = (100 * 0.0 + 10 * 1.0 + 90 * (0.0 + 0.5 + 1.0)) / 380
    assert group_tensors(PLACES, "model").depths.tolist() == pytest.approx([expected])
    assert group_tensors(PLACES, "layers").depths.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_empty_tensors_have_a_depth() -> None:
    groups = group_tensors([TensorPlace("a", 0, None, 1.0, "head")], "tensors")
    assert groups.depths.tolist() == [1.0]


def test_blocks_take_in_both_ends() -> None:
    groups = group_tensors(PLACES, {"blocks": 2})
    assert members_of(groups, "block 0")[0] == "embed.weight"
    assert members_of(groups, "block 1")[-1] == "norm.weight"
    assert len(members_of(groups, "block 0")) == 1 + 4


def test_patterns_first_match_wins() -> None:
    groups = group_tensors(
        PLACES, {"patterns": {"attention": "*self_attn*", "first": ["layers.0.*", "embed*"], "rest": "*"}}
    )
    assert "layers.0.self_attn.weight" in members_of(groups, "attention")
    assert members_of(groups, "first") == ["embed.weight", "layers.0.mlp.weight"]
    assert "norm.weight" in members_of(groups, "rest")


@pytest.mark.parametrize(
    ("by", "text"),
    [
        ("layer", "cannot group by 'layer'; did you mean 'layers'?"),
        ({"block": 2}, "cannot group by 'block' with a value; did you mean 'blocks'?"),
        ({"blocks": 2, "patterns": {}}, "give one of blocks, ama, patterns with its value"),
        ({"blocks": 4}, "cannot make 4 blocks of 3 layers; give a whole number from 1"),
        ({"blocks": 0}, "cannot make 0 blocks of 3 layers"),
        ({"blocks": 1.5}, "cannot make 1.5 blocks"),
        ({"patterns": {"a": "*mpl*", "b": "*"}}, "pattern '*mpl*' of group 'a' matches no tensor"),
        ({"patterns": {"a": "*mlp*"}}, "no pattern matches 'embed.weight' (5 tensors in all); add \"*\" as the last"),
        ({"patterns": {"a": "*", "b": "*mlp*"}}, "group 'b' gets no tensor, as earlier patterns match them first"),
    ],
)
def test_refused(by: Any, text: str) -> None:
    with pytest.raises(InputError) as error:
        group_tensors(PLACES, by)
    assert text in str(error.value)


def test_no_tensors() -> None:
    with pytest.raises(InputError, match="no tensors to group"):
        group_tensors([], "model")


def test_depths_are_numbers() -> None:
    assert group_tensors(PLACES, "tensors").depths.dtype == np.float64
