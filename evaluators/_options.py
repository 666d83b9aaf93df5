"""Check a configuration's options against the signature of an evaluator."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_type_hints

from ..errors import InputError, nearest

T = TypeVar("T")

_NO_LIST = ("sequence_str", "is_instance_of")  # what pydantic says of text, and of anything else, where a list is due


def check_options(name: str, kind: type, options: Mapping[str, Any]) -> None:
    """Check that `kind(name, **options)` has the options it needs, of the right types, and no others.

    Raises:
        InputError: an unknown option (names the nearest), a missing one, or one of another type.
    """
    parameters = dict(list(inspect.signature(kind).parameters.items())[1:])  # the first is the name
    for key in options:
        if key not in parameters:
            raise InputError(f"evaluator '{name}' has no option '{key}'; {nearest(key, parameters)}")
    missing = [key for key, one in parameters.items() if one.default is one.empty and key not in options]
    if missing:
        raise InputError(f"evaluator '{name}' lacks {', '.join(missing)}; add what is missing to its options")
    _check_types(name, kind, options)


def at_least(least: float, name: str, **options: float | None) -> None:
    """Check numbers among the options of the evaluator called `name`; one that is None was left out.

    Raises:
        InputError: one that is below `least`, or no finite number; names it.
    """
    for key, number in options.items():
        if number is not None and not least <= number < math.inf:
            raise InputError(f"evaluator '{name}': {key} = {number}; give {least:g} or more")


def chosen(name: str, metrics: Sequence[str], known: Mapping[str, T]) -> dict[str, T]:
    """What is known of the metrics that the evaluator called `name` is to have.

    Raises:
        InputError: none, or one that is unknown (names the nearest).
    """
    if not metrics:
        raise InputError(f"evaluator '{name}': metrics = []; give one or more of {', '.join(known)}")
    for metric in metrics:
        if metric not in known:
            raise InputError(f"evaluator '{name}' has no metric '{metric}'; {nearest(metric, known)}")
    return {metric: known[metric] for metric in metrics}


def _check_types(name: str, kind: type, options: Mapping[str, Any]) -> None:
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    hints: dict[str, Any] = {}
    with contextlib.suppress(NameError):  # a type that is imported for type checkers only cannot be checked
        hints = get_type_hints(vars(kind).get("__init__", kind))
    for key, value in options.items():
        try:
            TypeAdapter(hints.get(key, Any), config=ConfigDict(arbitrary_types_allowed=True)).validate_python(
                value, strict=True
            )
        except ValidationError as error:
            first = error.errors()[0]
            wanted = "give a list" if first["type"] in _NO_LIST else first["msg"]
            raise InputError(f"evaluator '{name}': {key} = {value!r}; {wanted}") from error
