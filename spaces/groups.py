"""Groups: which tensors share coefficients. From one row for the model to one row for every tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from ..errors import InputError, nearest
from .ama_blocks import ama_blocks
from .place import HELD, TensorPlace
from .table import FloatArray

By = str | Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Groups:
    """A partition of the model's tensors; row g of a coefficient table belongs to group g.

    Attributes:
        names: one per group.
        depths: mean depth of each group's tensors, weighted by their size, float64, `groups`, in [0, 1].
        of: the group of every tensor, by tensor name.
        sizes: number of elements of each group's tensors, float64, `groups`.
    """

    names: tuple[str, ...]
    depths: FloatArray
    of: Mapping[str, int]
    sizes: FloatArray = field(default_factory=lambda: np.empty(0))

    def __len__(self) -> int:
        return len(self.names)

    @property
    def held(self) -> dict[int, str]:
        """Groups that are not searched, by their number: whether they stay at the "base", "member" or "mean"."""
        return {number: HELD[name] for number, name in enumerate(self.names) if name in HELD}


def group_tensors(places: Sequence[TensorPlace], by: By) -> Groups:
    """Partition tensors into groups.

    Args:
        places: the model's tensors.
        by: "model", "layers", "kinds", "layers x kinds" or "tensors"; {"blocks": K} for K runs of consecutive layers
            of near-equal count, of which the first also holds the tensors before the layers and the last those
            after; {"ama": {"blocks": K, "cut": …, "policy": …, "head": …}} for the blocks of AMA, see `ama_blocks`;
            {"patterns": {name: glob or list of globs}} for patterns over tensor names, first match wins. Groups
            called "held at the base", "held at the member" or "held at the mean" are not searched.

    Raises:
        InputError: `by` is unknown, there are more blocks than layers, a pattern matches nothing, or a tensor is
            matched by no pattern.
    """
    if not places:
        raise InputError("there are no tensors to group; check that the base has floating-point weights")
    ordered = sorted(places, key=_rank)
    return _gather(ordered, _namer(ordered, by))


def _rank(place: TensorPlace) -> tuple[bool, int]:
    """Order of groups: input, layers by number, output; within each, as the model lists its tensors."""
    return place.layer_name == "output", -1 if place.layer is None else place.layer


def _namer(places: Sequence[TensorPlace], by: By) -> Callable[[TensorPlace], str]:
    """The function from a tensor to its group's name."""
    if isinstance(by, str):
        if by not in _BY_WORD:
            raise InputError(f"cannot group by '{by}'; {nearest(by, [*_BY_WORD, *_BY_OPTION])}")
        return _BY_WORD[by]
    if len(by) != 1:
        raise InputError(f"cannot group by {dict(by)!r}; give one of {', '.join(_BY_OPTION)} with its value")
    ((word, value),) = by.items()
    if word not in _BY_OPTION:
        raise InputError(f"cannot group by '{word}' with a value; {nearest(word, _BY_OPTION)}")
    return _BY_OPTION[word](places, value)


def _gather(places: Sequence[TensorPlace], name_of: Callable[[TensorPlace], str]) -> Groups:
    group_of = {place.name: name_of(place) for place in places}
    index = {name: number for number, name in enumerate(dict.fromkeys(group_of.values()))}
    weight, weighted, sizes = np.zeros(len(index)), np.zeros(len(index)), np.zeros(len(index))
    for place in places:
        group = index[group_of[place.name]]
        size = max(place.size, 1)  # an empty tensor must not leave its group without a depth
        weight[group] += size
        weighted[group] += size * place.depth
        sizes[group] += place.size
    return Groups(tuple(index), weighted / weight, {name: index[group] for name, group in group_of.items()}, sizes)


def _blocks(places: Sequence[TensorPlace], count: int) -> Callable[[TensorPlace], str]:
    layers = sorted({place.layer for place in places if place.layer is not None})
    if not (isinstance(count, int) and 1 <= count <= len(layers)):
        raise InputError(f"cannot make {count} blocks of {len(layers)} layers; give a whole number from 1 to that")
    block = {int(layer): number for number, run in enumerate(np.array_split(layers, count)) for layer in run}
    ends = {"input": 0, "output": count - 1}
    return lambda place: f"block {ends[place.layer_name] if place.layer is None else block[place.layer]}"


def _patterns(
    places: Sequence[TensorPlace], patterns: Mapping[str, str | Iterable[str]]
) -> Callable[[TensorPlace], str]:
    globs = [
        (group, glob) for group, value in patterns.items() for glob in ([value] if isinstance(value, str) else value)
    ]
    for group, glob in globs:
        if not any(fnmatchcase(place.name, glob) for place in places):
            raise InputError(f"pattern '{glob}' of group '{group}' matches no tensor; {nearest(glob, _some(places))}")
    chosen = {place.name: _first_match(place.name, globs) for place in places}
    missed = [name for name, group in chosen.items() if group is None]
    if missed:
        raise InputError(f"no pattern matches '{missed[0]}' ({len(missed)} tensors in all); add \"*\" as the last one")
    empty = [group for group in patterns if group not in chosen.values()]
    if empty:
        raise InputError(f"group '{empty[0]}' gets no tensor, as earlier patterns match them first; move it up")
    return lambda place: str(chosen[place.name])


def _first_match(name: str, globs: Iterable[tuple[str, str]]) -> str | None:
    return next((group for group, glob in globs if fnmatchcase(name, glob)), None)


def _some(places: Sequence[TensorPlace]) -> list[str]:
    """A handful of tensor names, to show what patterns are matched against."""
    return [place.name for place in places[:: max(1, len(places) // 5)]][:5]


_BY_WORD: dict[str, Callable[[TensorPlace], str]] = {
    "model": lambda place: "model",
    "layers": lambda place: place.layer_name,
    "kinds": lambda place: place.kind,
    "layers x kinds": lambda place: f"{place.layer_name} {place.kind}",
    "tensors": lambda place: place.name,
}
_BY_OPTION: dict[str, Callable[[Sequence[TensorPlace], Any], Callable[[TensorPlace], str]]] = {
    "blocks": _blocks,
    "ama": ama_blocks,
    "patterns": _patterns,
}
