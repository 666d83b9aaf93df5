"""Check a configuration's options against the signature of an evaluator."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

from ..errors import InputError, nearest


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
            raise InputError(f"evaluator '{name}': {key} = {value!r}; {error.errors()[0]['msg']}") from error
