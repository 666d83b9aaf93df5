"""Which trials matter at the end: the front, the winner, and the baselines that the winner must beat."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...search.pareto import front
from ...spaces.table import FloatArray
from ..objectives import Objectives
from ..record import TrialRecord


@dataclass(frozen=True)
class Shortlist:
    """Trials by number.

    Attributes:
        front: the non-dominated trials that keep all floors, best mean first.
        winner: the best of the front by weighted mean; None where no trial keeps all floors.
        nearest: where there is no winner, the trial that misses the floors least.
        rivals: uniform soup, greedy soup, best member and best EMA, as far as the run has them.
        elite: the trials that were scored on fresh samples, best mean there first; they decide the winner.
    """

    front: tuple[int, ...]
    winner: int | None
    nearest: int | None
    rivals: dict[str, int]
    elite: tuple[int, ...] = ()

    @property
    def all(self) -> list[int]:
        """Every trial on the list, once."""
        extra = [number for number in (self.nearest,) if number is not None]
        return sorted({*self.front, *self.rivals.values(), *self.elite, *extra})

    def only(self, scored: Container[int]) -> Shortlist:
        """The shortlist without trials that are not among `scored`; the next one wins where the first is."""
        front, elite = (tuple(number for number in part if number in scored) for part in (self.front, self.elite))
        rivals = {name: number for name, number in self.rivals.items() if number in scored}
        nearest = self.nearest if self.nearest in scored else None
        return Shortlist(front, next(iter((*elite, *front)), None), nearest, rivals, elite)

    def settled(self, elite: Sequence[int]) -> Shortlist:
        """The shortlist with this elite, best first, whose first is the winner."""
        return replace(self, winner=next(iter(elite), self.winner), elite=tuple(elite))


def front_of(objectives: Objectives, records: Sequence[TrialRecord], weights: FloatArray) -> list[TrialRecord]:
    """Non-dominated trials that keep all floors, best weighted mean first; of equal candidates the first one.

    Trials that were stopped early stand on no front.
    """
    kept = best_of(objectives, records, weights)
    if not kept:
        return []
    losses = np.array([record.values for record in kept]) * objectives.signs
    return [record for record, on_front in zip(kept, front(losses), strict=True) if on_front]


def best_of(objectives: Objectives, records: Sequence[TrialRecord], weights: FloatArray) -> list[TrialRecord]:
    """Trials with all their scores that keep all floors, best weighted mean first; of equal candidates the first."""
    first = {record.key: record for record in reversed(records) if record.whole}
    kept = [record for record in first.values() if all(violation <= 0 for violation in record.violations)]
    return sorted(kept, key=lambda record: (mean_loss(objectives, weights, record), record.number))


def mean_loss(objectives: Objectives, weights: FloatArray, record: TrialRecord) -> float:
    """Weighted mean loss of a trial; infinite for a failed one."""
    if record.values is None:
        return float("inf")
    return float(np.dot(weights * objectives.signs, record.values))


def shortlist(
    objectives: Objectives, records: Sequence[TrialRecord], weights: FloatArray, greedy: int | None
) -> Shortlist:
    """Choose them by search scores; `greedy` is the trial that the greedy pass ended with, if any."""
    ranked = front_of(objectives, records, weights)
    return Shortlist(
        front=tuple(record.number for record in ranked),
        winner=ranked[0].number if ranked else None,
        nearest=None if ranked else _nearest(records),
        rivals=_rivals(objectives, records, weights, greedy),
    )


def _rivals(
    objectives: Objectives, records: Sequence[TrialRecord], weights: FloatArray, greedy: int | None
) -> dict[str, int]:
    """The baselines that the winner must beat, as far as the run has scored them."""
    rivals = {}
    by_origin = {record.proposal.origin: record for record in reversed(records) if record.complete}
    # With a single member the uniform soup is that member, and stands under its name.
    if "uniform soup" in by_origin:
        rivals["uniform soup"] = by_origin["uniform soup"].number
    if greedy is not None:
        rivals["greedy soup"] = greedy
    for rival, family in (("best member", "member "), ("best EMA", "ema ")):
        points = [record for origin, record in by_origin.items() if origin.startswith(family)]
        if points:
            best = min(points, key=lambda record: (mean_loss(objectives, weights, record), record.number))
            rivals[rival] = best.number
    return rivals


def _nearest(records: Sequence[TrialRecord]) -> int | None:
    """The scored trial that misses the floors least; None where none was scored."""
    missed = {
        record.number: sum(max(violation, 0.0) for violation in record.violations) for record in records if record.whole
    }
    return min(missed, key=lambda number: (missed[number], number), default=None)
