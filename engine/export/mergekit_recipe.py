"""The same merge as a mergekit configuration, where the candidate is linear in whole members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable

_UNSAFE = "+@"  # mergekit reads these in a path as a LoRA or a revision


def mergekit_recipe(
    table: CoefficientTable, groups: Groups, base: str, members: Mapping[str, str], dtype: str
) -> dict[str, Any]:
    """Return a configuration for `mergekit-yaml`: task arithmetic, one weight per group and member.

    mergekit gives a tensor the value of the first filter that is a substring of its name.

    Args:
        table: coefficients, `groups x members`.
        groups: which tensors each group has.
        base: path of the base.
        members: name -> path, in the order of the table's columns.
        dtype: floating dtype of the output.

    Raises:
        InputError: c₀ ≠ 1, which task arithmetic has no place for, or a path that mergekit would misread.
    """
    if (table.base != 1).any():
        raise InputError("the base itself is scaled (c₀ ≠ 1), which mergekit's task arithmetic cannot express")
    for path in [base, *members.values()]:
        if any(sign in path for sign in _UNSAFE):
            raise InputError(f"mergekit would misread the path '{path}' ('+' and '@' have a meaning); rename it")
    filters = _filters(groups)
    return {
        "merge_method": "task_arithmetic",
        "base_model": base,
        "models": [
            {"model": path, "parameters": {"weight": _weights(table.members[:, column].tolist(), filters)}}
            for column, path in enumerate(members.values())
        ],
        "parameters": {"normalize": False, "lambda": 1.0},
        "dtype": "float32",
        "out_dtype": dtype,
    }


def _weights(column: Sequence[float], filters: Sequence[tuple[str, int]]) -> Any:
    if len(set(column)) == 1:
        return column[0]
    return [{"filter": text, "value": column[group]} for text, group in filters]


def _filters(groups: Groups) -> list[tuple[str, int]]:
    """Substrings that pick out each group: a common prefix where no other group's tensor has it, else full names.

    Longer texts come first, so that a name which is part of another name does not shadow it.
    """
    found: list[tuple[str, int]] = []
    for group in range(len(groups.names)):
        own = [name for name, number in groups.of.items() if number == group]
        others = [name for name, number in groups.of.items() if number != group]
        prefix = _common_prefix(own)
        alone = prefix and not any(prefix in name for name in others)
        found += [(prefix, group)] if alone else [(name, group) for name in own]
    found += [(name, group) for name, group in groups.of.items() if _first_match(name, found) != group]
    return _longest_first(found)


def _longest_first(filters: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(set(filters), key=lambda entry: (-len(entry[0]), entry[0]))


def _first_match(name: str, filters: Sequence[tuple[str, int]]) -> int | None:
    return next((group for text, group in _longest_first(filters) if text in name), None)


def _common_prefix(names: Sequence[str]) -> str:
    """Longest common prefix that ends with a dot; the name itself for a single one."""
    if len(names) == 1:
        return names[0]
    first, last = min(names), max(names)
    length = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    return first[: first[:length].rfind(".") + 1]
