"""The blocks of AMA: both published cuts, and every policy by name."""

from __future__ import annotations

from typing import Any

import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.ama_blocks import cut_layers
from mergesearch.spaces.groups import Groups, group_tensors
from mergesearch.spaces.place import TensorPlace


def llama(layers: int = 4, hidden: int = 8) -> list[TensorPlace]:
    """The tensors of an untied Llama."""
    places = [TensorPlace("model.embed_tokens.weight", 100, None, 0.0, "embed_tokens")]
    for layer in range(layers):
        depth, stem = layer / (layers - 1), f"model.layers.{layer}"
        for kind, name in (("self_attn", "q_proj"), ("self_attn", "o_proj"), ("mlp", "up_proj")):
            places.append(TensorPlace(f"{stem}.{kind}.{name}.weight", hidden * hidden, layer, depth, kind))
        places.append(TensorPlace(f"{stem}.self_attn.q_norm.weight", hidden, layer, depth, "self_attn"))
        places.append(TensorPlace(f"{stem}.input_layernorm.weight", hidden, layer, depth, "norm"))
    places.append(TensorPlace("model.norm.weight", hidden, None, 1.0, "norm"))
    return [*places, TensorPlace("lm_head.weight", 100, None, 1.0, "lm_head")]


def grouped(**options: Any) -> Groups:
    return group_tensors(llama(), {"ama": options})


def group_of(groups: Groups, end: str) -> str:
    """The one group of all tensors whose name ends so."""
    (name,) = {groups.names[number] for tensor, number in groups.of.items() if tensor.endswith(end)}
    return name


@pytest.mark.parametrize(
    ("layers", "blocks", "cut", "lengths"),
    [
        (26, 3, "paper", [8, 9, 9]),
        (26, 3, "release", [8, 8, 10]),
        (28, 3, "release", [8, 8, 12]),
        (32, 3, "release", [11, 10, 11]),
        (26, 6, "release", [4, 4, 4, 4, 4, 6]),
        (28, 6, "release", [4, 4, 4, 4, 4, 8]),
        (26, 9, "release", [2] * 8 + [10]),
        (28, 9, "release", [3] * 8 + [4]),
        (32, 9, "release", [3] * 8 + [8]),
        (26, 26, "release", [1] * 26),
        (26, 3, "even", [9, 9, 8]),
        (26, 4, "even", [7, 7, 6, 6]),
    ],
)
def test_cuts(layers: int, blocks: int, cut: str, lengths: list[int]) -> None:
    assert cut_layers(layers, blocks, cut) == lengths


@pytest.mark.parametrize(
    ("policy", "embedding", "norm", "final_norm", "head"),
    [
        ("paper", "held at the member", "held at the member", "held at the member", "held at the mean"),
        ("release", "held at the base", "held at the base", "held at the base", "held at the mean"),
        ("plain", "held at the mean", "held at the mean", "held at the mean", "held at the mean"),
        ("part-wise", "block 0", None, "held at the mean", "held at the mean"),
        ("all", "block 0", None, "block 1", "block 1"),
    ],
)
def test_policies(policy: str, embedding: str, norm: str | None, final_norm: str, head: str) -> None:
    """Linear maps follow their block in every policy; a norm that does so (None) does it in each layer."""
    groups = grouped(blocks=2, policy=policy)
    assert group_of(groups, "embed_tokens.weight") == embedding
    assert group_of(groups, "model.norm.weight") == final_norm
    assert group_of(groups, "lm_head.weight") == head
    for layer in range(4):
        for name in ("input_layernorm.weight", "self_attn.q_norm.weight"):
            assert group_of(groups, f"layers.{layer}.{name}") == (norm or f"block {layer // 2}")
        for name in ("self_attn.q_proj.weight", "mlp.up_proj.weight"):
            assert group_of(groups, f"layers.{layer}.{name}") == f"block {layer // 2}"
    assert {groups.names[number] for number in groups.held} == {n for n in groups.names if n.startswith("held")}


def test_the_head_may_have_a_ratio_of_its_own() -> None:
    groups = grouped(blocks=2, policy="release", head="own")
    assert groups.names == ("held at the base", "block 0", "block 1", "head")
    assert groups.held == {0: "base"}
    assert group_of(grouped(blocks=2, policy="release", head="member"), "lm_head.weight") == "held at the member"


def test_a_block_per_layer() -> None:
    assert grouped(blocks="layers", policy="all").names == ("block 0", "block 1", "block 2", "block 3")


def test_sizes_count_elements() -> None:
    groups = grouped(blocks=1, policy="release")
    assert dict(zip(groups.names, groups.sizes, strict=True)) == {
        "held at the base": 100 + 4 * 16 + 8,
        "block 0": 4 * 3 * 64,
        "held at the mean": 100,
    }


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cuts": "paper"}, "the blocks of AMA have no option 'cuts'; did you mean 'cut'?"),
        ({"cut": "papers"}, "the blocks of AMA have no 'papers'; did you mean 'paper'?"),
        ({"policy": "al"}, "the blocks of AMA have no 'al'; did you mean 'all'?"),
        ({"head": "owns"}, "the blocks of AMA have no 'owns'; did you mean 'own'?"),
        ({"blocks": 5}, "cannot make 5 blocks of 4 layers; give a whole number from 1 to that, or layers"),
        ({"blocks": "layer"}, "cannot make layer blocks of 4 layers"),
        ({"cut": "release"}, "the released code cuts 3 blocks after layers [8, 16], but there are 4; take cut: paper"),
    ],
)
def test_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError) as error:
        grouped(**options)
    assert text in str(error.value)
