"""Options that MAP's searchers share, checked."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError


def one_of(option: str, value: str, known: Sequence[str]) -> None:
    """Refuse a value that is not among the known ones.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{option} is {value!r}; give {' or '.join(known)}")


def scale_of(scale: Sequence[float]) -> tuple[float, float]:
    """The lowest and highest sum of a row.

    Raises:
        InputError: there are not two, or they are negative or turned round.
    """
    if not (len(scale) == 2 and 0 <= scale[0] < scale[1]):
        raise InputError(f"scale is {scale}; give [lowest, highest], neither negative nor turned round")
    return float(scale[0]), float(scale[1])
