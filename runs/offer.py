"""What `search.baselines` chooses from: canonical points, families of them with settings, and weighted soups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch

from ..engine.models import Models
from ..errors import InputError, nearest
from ..spaces.published import Family
from ..spaces.table import CoefficientTable
from .weighting import USUAL, Weighting, weightings

_RECENT = 10  # snapshots


@dataclass(frozen=True)
class Offer:
    """Everything that a run may evaluate before its search.

    Attributes:
        standing: canonical points by name, which every run evaluates unless it is told otherwise.
        families: points with settings, which are evaluated where they are asked for by name.
    """

    standing: dict[str, CoefficientTable]
    families: Sequence[Family]

    def usual(self, models: Models) -> list[str]:
        """What is evaluated unless a run is told otherwise: all standing points; of a trajectory, its averages.

        With them come its last snapshots. Older ones, of which there may be hundreds, are hardly ever its best, and
        a base that is the oldest of them is none.
        """
        if models.steps is None:
            return ["*"]
        recent = [f"member {name}" for name in models.names[-_RECENT:]]
        averages = [name for family in self.families for name in family.usual if name.startswith(("window", "ema"))]
        wanted = [*(["base"] if models.paths.base else []), *recent, "uniform soup", *averages]
        return [name for name in wanted if name in self._names()]

    def chosen(self, patterns: Sequence[str]) -> tuple[dict[str, CoefficientTable], dict[str, Weighting]]:
        """The points and the weighted soups that any pattern stands for, by name, standing points first.

        A glob that matches a standing point chooses among these alone, so that "*" stands for no settings.

        Raises:
            InputError: a pattern stands for nothing (names the nearest), or for settings that cannot be.
        """
        asked: dict[str, CoefficientTable] = {}
        weighted: dict[str, Weighting] = {}
        for pattern in patterns:
            if any(fnmatch(name, pattern) for name in self.standing):
                continue
            points = {name: table for family in self.families for name, table in family.chosen(pattern).items()}
            soups = weightings(pattern)
            if not points and not soups:
                raise InputError(f"no canonical point matches '{pattern}'; {nearest(pattern, self._names())}")
            asked |= points
            weighted |= soups
        kept = {name: table for name, table in self.standing.items() if any(fnmatch(name, one) for one in patterns)}
        return {**kept, **asked}, weighted

    def _names(self) -> list[str]:
        return [*self.standing, *(name for family in self.families for name in family.usual), *USUAL]
