"""Published methods with settings of their own: canonical points that are made when they are asked for by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from itertools import permutations

import numpy as np

from ..errors import InputError
from .canonical import soup
from .ema import ema_rates, ema_row
from .groups import Groups
from .profile import ingredient, levels, swapped
from .table import CoefficientTable

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
WISE_FT_CURVE = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9)  # the paper's grid, and its code's default


@dataclass(frozen=True)
class Family:
    """The points of one method, one for each of its settings.

    Attributes:
        usual: names that globs choose from.
        make: the point of a name, with whatever settings it gives; None where the name is none of the family's.
    """

    usual: Sequence[str]
    make: Callable[[str], CoefficientTable | None]

    def chosen(self, pattern: str) -> dict[str, CoefficientTable]:
        """The points that a glob or a name stands for, by name; empty where it is not of this family.

        Raises:
            InputError: it names a point with settings that cannot be.
        """
        names = [name for name in self.usual if fnmatch(name, pattern)] or [pattern]
        points = {name: self.make(name) for name in names}
        return {name: table for name, table in points.items() if table is not None}


def families(groups: Groups, members: Sequence[str], steps: Sequence[int] | None = None) -> list[Family]:
    """All families of these groups and members, whose names are given; `steps` of one run where they are snapshots."""
    found = [_wise_ft(len(groups), members), _layer_swap(groups, members)]
    return [*found, _window(len(groups), len(members)), _ema(len(groups), steps)] if steps else found


def _wise_ft(groups: int, members: Sequence[str]) -> Family:
    """θ = (1 - α)·θ₀ + α·θᵢ (Wortsman et al. 2022, https://arxiv.org/abs/2109.01903); α > 1 extrapolates (ExPO)."""
    several = len(members) > 1
    usual = [f"wise-ft {name} {a}" if several else f"wise-ft {a}" for name in members for a in WISE_FT_CURVE]

    def make(name: str) -> CoefficientTable | None:
        found = re.fullmatch(rf"wise-ft (?:(.+) )?{NUMBER}", name)
        if not found:
            return None
        member = found[1] or ("" if several else members[0])
        if member not in members:
            return None
        return CoefficientTable.tied(float(found[2]) * ingredient(member, members), groups)

    return Family(usual, make)


def _layer_swap(groups: Groups, members: Sequence[str]) -> Family:
    """Outer layers of one model around the middle ones of another; see `swap.Swap`."""
    pairs = list(permutations(members if len(members) > 1 else [*members, "base"], 2))
    count = len(np.unique(np.round(groups.depths, 9)))
    quarter = max(1, count // 4)
    profiles = [f"{quarter}+{quarter}", f"{quarter}+{quarter} zone 1"] if count >= 4 else ["1+1"]
    usual = [f"layer swap {outer} around {middle} {profile}" for outer, middle in pairs for profile in profiles]

    def make(name: str) -> CoefficientTable | None:
        found = re.fullmatch(r"layer swap (.+) around (.+) (\d+)\+(\d+)(?: zone (\d+))?", name)
        if not found:
            return None
        outer, middle = (ingredient(found[which], members) for which in (1, 2))
        return swapped(levels(groups.depths), outer, middle, int(found[3]), int(found[4]), int(found[5] or 0))

    return Family(usual, make)


def _window(groups: int, members: int) -> Family:
    """Mean of the last k snapshots (LAWA, Kaddour 2022, https://arxiv.org/abs/2209.14981)."""
    usual = [f"window {2**power}" for power in range(1, members) if 2**power < members]

    def make(name: str) -> CoefficientTable | None:
        found = re.fullmatch(r"window (\d+)", name)
        if not found:
            return None
        if not 1 <= int(found[1]) <= members:
            raise InputError(f"'{name}' is wider than the {members} snapshots; give at most their number")
        return soup(range(members - int(found[1]), members), groups, members)

    return Family(usual, make)


def _ema(groups: int, steps: Sequence[int]) -> Family:
    """Exponential moving average of the weights, as training keeps it, with a rate per training step; see `ema_row`."""
    usual = [f"ema {rate}" for rate in ema_rates(steps)]

    def make(name: str) -> CoefficientTable | None:
        found = re.fullmatch(rf"ema {NUMBER}", name)
        return CoefficientTable.tied(ema_row(steps, float(found[1])), groups) if found else None

    return Family(usual, make)
