"""Whether a grouping and a coefficient table fit a bank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ...errors import InputError
from ...spaces.groups import Groups
from ...spaces.table import CoefficientTable

_LARGEST = float(np.finfo(np.float32).max)  # coefficients become fp32 numbers in the kernel


def check_groups(groups: Groups, names: Iterable[str]) -> None:
    """Refuse a grouping that leaves a tensor out.

    Raises:
        InputError: names the tensor.
    """
    missing = [name for name in names if name not in groups.of]
    if missing:
        raise InputError(f"the grouping names no group for tensor '{missing[0]}'; build it from this model's tensors")


def check_table(table: CoefficientTable, groups: Groups, members: Sequence[str]) -> None:
    """Refuse a table of another grouping or of other members.

    Raises:
        InputError: it has another shape than `groups x members`, or is not finite.
    """
    wanted = (len(groups.names), len(members))
    if table.members.shape != wanted or table.base.shape != wanted[:1]:
        given = " x ".join(map(str, table.members.shape))
        raise InputError(
            f"the coefficient table is {given} with {table.base.size} numbers for the base, "
            f"but there are {wanted[0]} groups and {wanted[1]} members; build it for this grouping"
        )
    for values in (table.members, table.base):
        beyond = values[~(np.abs(values) <= _LARGEST)]
        if beyond.size:
            raise InputError(f"the coefficient table holds {beyond[0]}, no finite fp32 number; give finite numbers")
