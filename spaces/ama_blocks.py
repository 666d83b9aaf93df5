"""The blocks of AMA: consecutive layers that share a ratio, and what becomes of the tensors outside of them.

Paper and released code of Lin et al. 2024 (https://arxiv.org/abs/2309.06256) cut the layers differently and treat
embeddings, norms and head in several ways. Each cut and each policy has a name here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..errors import InputError, nearest
from .place import HELD, TensorPlace

CUTS = ("paper", "release", "even")
_HEADS = ("own", "block", *HELD.values())
_NORM = re.compile(r"(norm|(^|[._])ln)([._\d]|$)")


@dataclass(frozen=True)
class Policy:
    """Where the tensors go that are no linear map inside of a layer: their "block", or held where `HELD` says.

    Attributes:
        embedding: all that comes before the layers; its block is the first. Tied embeddings stand here once.
        norm: norms inside of layers.
        final_norm: norms after the layers; their block is the last.
        head: the rest of what comes after the layers; its block is the last.
    """

    embedding: str
    norm: str
    final_norm: str
    head: str


# The paper averages linear layers only and does not say whose the others are; the member's keep the member reachable.
POLICIES = {
    "paper": Policy("member", "member", "member", "mean"),
    "release": Policy("base", "base", "base", "mean"),
    "plain": Policy("mean", "mean", "mean", "mean"),
    "part-wise": Policy("block", "block", "mean", "mean"),
    "all": Policy("block", "block", "block", "block"),
}


@dataclass(frozen=True)
class AmaBlocks:
    """The options of the grouping.

    Attributes:
        blocks: number of blocks, or "layers" for one each.
        cut: where they end: "paper" at ⌊k·L/K⌋ (26 layers in 3: 8, 9, 9), "release" as its code does (3 blocks: after
            8 and 16 layers of at most 30, after 11 and 21 of more; otherwise ⌊L/K⌋ each, and the last takes the
            rest), "even" with the longer ones first.
        policy: a key of `POLICIES`: "paper" and "release" of its optimised ratios, "plain" and "part-wise" of its
            hand-set ones, "all" for every tensor in a block, so that the model of every ratio 1 is the member.
        head: overrides the policy's head: "own" for a ratio of its own, "block", "base", "member" or "mean".
    """

    blocks: int | str = 3
    cut: str = "paper"
    policy: str = "all"
    head: str | None = None


def ama_blocks(places: Sequence[TensorPlace], options: Mapping[str, Any]) -> Callable[[TensorPlace], str]:
    """The function from a tensor to its block, or to the name of the held group it belongs to.

    Args:
        places: the model's tensors.
        options: see `AmaBlocks`.

    Raises:
        InputError: an unknown option, cut, policy or head (names the nearest), or a block without layers.
    """
    chosen = _checked(options)
    layers = sorted({place.layer for place in places if place.layer is not None})
    lengths = cut_layers(len(layers), len(layers) if chosen.blocks == "layers" else chosen.blocks, chosen.cut)
    block = {layer: number for number, layer in zip(_spread(lengths), layers, strict=True)}
    policy = POLICIES[chosen.policy]

    def name_of(place: TensorPlace) -> str:
        part = _part(place)
        where = getattr(policy, part) if part else "block"
        if part == "head":
            where = chosen.head or where
        if where == "own":
            return "head"
        if where != "block":
            return f"held at the {where}"
        ends = 0 if part == "embedding" else len(lengths) - 1
        return f"block {ends if place.layer is None else block[place.layer]}"

    return name_of


def cut_layers(layers: int, blocks: Any, cut: str) -> list[int]:
    """Number of layers of each block.

    Raises:
        InputError: a block would have none.
    """
    if not (isinstance(blocks, int) and 1 <= blocks <= layers):
        raise InputError(
            f"cannot make {blocks} blocks of {layers} layers; give a whole number from 1 to that, or layers"
        )
    ends = {
        "paper": [number * layers // blocks for number in range(1, blocks)],
        "release": [number * (layers // blocks) for number in range(1, blocks)],
        "even": [number * (layers // blocks) + min(number, layers % blocks) for number in range(1, blocks)],
    }[cut]
    if cut == "release" and blocks == 3:
        ends = [8, 16] if layers <= 30 else [11, 21]
    lengths = [end - start for start, end in zip([0, *ends], [*ends, layers], strict=True)]
    if min(lengths) < 1:
        raise InputError(
            f"the released code cuts 3 blocks after layers {ends}, but there are {layers}; take cut: paper"
        )
    return lengths


def _part(place: TensorPlace) -> str | None:
    """The field of a policy that decides on a tensor; None for linear maps inside of layers."""
    norm = place.kind == "norm" or _NORM.search(place.name.lower()) is not None
    if place.layer is not None:
        return "norm" if norm else None
    if place.depth < 0.5:
        return "embedding"
    return "final_norm" if norm else "head"


def _spread(lengths: Sequence[int]) -> list[int]:
    return [number for number, length in enumerate(lengths) for _ in range(length)]


def _checked(options: Mapping[str, Any]) -> AmaBlocks:
    known = [field.name for field in fields(AmaBlocks)]
    for key in options:
        if key not in known:
            raise InputError(f"the blocks of AMA have no option '{key}'; {nearest(key, known)}")
    chosen = AmaBlocks(**options)
    for value, values in ((chosen.cut, CUTS), (chosen.policy, list(POLICIES)), (chosen.head or "own", _HEADS)):
        if value not in values:
            raise InputError(f"the blocks of AMA have no '{value}'; {nearest(str(value), values)}")
    return chosen
