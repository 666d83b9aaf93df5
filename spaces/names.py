"""Names for members and groups, which may be given by name or only by number."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import InputError


def named(things: int | Sequence[str], noun: str) -> list[str]:
    """Names of `things`, which are given by name or by number ("<noun> 0", "<noun> 1", …).

    Raises:
        InputError: there are none, or two share a name.
    """
    names = [f"{noun} {index}" for index in range(things)] if isinstance(things, int) else list(things)
    if not names:
        raise InputError(f"a space needs at least one {noun}, not {things!r}; give their number or their names")
    twice = [name for index, name in enumerate(names) if name in names[:index]]
    if twice:
        raise InputError(f"two {noun}s are called '{twice[0]}'; give each a name of its own")
    return names
