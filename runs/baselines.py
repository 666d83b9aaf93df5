"""What a run evaluates before its search: canonical points, soups weighted by the members' scores, the greedy pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import InputError
from ..search.greedy import Subset, best_soup, next_soup
from ..spaces.canonical import soup
from ..spaces.space import Space
from ..spaces.table import CoefficientTable, FloatArray
from .guides import Guide
from .objectives import Objectives
from .record import Proposal, TrialRecord
from .weighting import Weighting

log = logging.getLogger(__name__)

GREEDY = "greedy pass"
Loss = Callable[[TrialRecord], float]


@dataclass(frozen=True)
class Baselines:
    """The canonical points that a run evaluates first, the soups weighted by their scores, and the greedy soup.

    Attributes:
        space: the space searched.
        points: canonical points by name, in the order of evaluation.
        weightings: soups that follow once the points are scored, by name.
        raw_members: whether members are evaluated as they stand on disk, because a transform changed their deltas.
    """

    space: Space
    points: dict[str, CoefficientTable]
    weightings: dict[str, Weighting] = field(default_factory=dict)
    raw_members: bool = False
    _soups: dict[int, Subset | None] = field(default_factory=dict, repr=False, compare=False)

    @property
    def names(self) -> list[str]:
        """Names of all baselines but the greedy soup."""
        return [*self.points, *self.weightings]

    def check(self, objectives: Objectives, guides: Sequence[Guide]) -> None:
        """Refuse weightings that could never be evaluated; `guides` are the losses that trials are differentiated by.

        Raises:
            InputError: members are not among the baselines, or have no loss to be weighted by.
        """
        for name, weighting in self.weightings.items():
            if not all(any(table == vertex for table in self.points.values()) for vertex in self._vertices()):
                raise InputError(f"'{name}' weighs the members by their scores; add 'member *' to search.baselines")
            weighting.check(objectives, () if self.raw_members else guides)

    @cached_property
    def proposals(self) -> list[Proposal]:
        """The canonical points as candidates."""
        return [self._proposal(name, table) for name, table in self.points.items()]

    def references(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        """The members' trials; all baselines' where no member has one. Those without scores are left out."""
        whole = [record for record in records if record.whole and record.proposal.origin in self.points]
        return self._of_members(whole) or whole

    def scored_members(self, records: Sequence[TrialRecord]) -> int:
        """How many members have a trial with all scores."""
        return len(self._of_members(records))

    def _of_members(self, records: Sequence[TrialRecord]) -> list[TrialRecord]:
        vertices = self._vertices()
        return [record for record in records if record.whole and record.proposal.table in vertices]

    def next_weighted(self, records: Sequence[TrialRecord], objectives: Objectives) -> Proposal | None:
        """The next soup weighted by the scores of its members, which all have their trial; None after the last.

        None also where a member could not be scored, or its scores allow no weights.
        """
        done = len(records) - len(self.points)
        if not 0 <= done < len(self.weightings):
            return None
        rows = self._weights(records[: len(self.points)], objectives)
        left_out = [name for name in self.weightings if name not in rows]
        if left_out and not done:
            log.warning("no weights follow from the members' scores: %s is left out", ", ".join(left_out))
        if done >= len(rows):
            return None
        name, row = list(rows.items())[done]
        table = CoefficientTable.tied(row, self.space.groups)
        return Proposal(table, name, self.space.vector(table))

    def next_greedy(self, records: Sequence[TrialRecord], loss: Loss) -> Proposal | None:
        """The soup that the greedy pass must score next, by the mean loss of trials; None at its end.

        None also where some member was not evaluated, for then there is no pass.
        """
        scores = self._soup_scores(records, loss)
        members = self.space.members
        if any(frozenset({index}) not in scores for index in range(members)):
            return None
        subset = next_soup(scores, members)
        if subset is None:
            return None
        table = soup(subset, self.space.groups, members)
        return Proposal(table, f"{GREEDY}, {len(subset)} members", self.space.vector(table))

    def greedy_trial(self, records: Sequence[TrialRecord], loss: Loss) -> int | None:
        """Number of the trial that is the greedy soup; None while the pass is not finished."""
        scores = self._soup_scores(records, loss)
        if not scores or self.next_greedy(records, loss) is not None:
            return None
        best = best_soup(scores, self.space.members)
        if not best:
            return None
        wanted = soup(best, self.space.groups, self.space.members)
        return next((one.number for one in records if one.complete and one.proposal.table == wanted), None)

    def _weights(self, records: Sequence[TrialRecord], objectives: Objectives) -> dict[str, FloatArray]:
        """Weights of the members, `members`, by the name of each weighting that the points' trials allow."""
        tables = [record.proposal.table for record in records]
        members = [records[tables.index(vertex)] for vertex in self._vertices()]
        if not all(member.complete for member in members):
            return {}
        rows = {name: weighting.row(objectives, members) for name, weighting in self.weightings.items()}
        return {name: row for name, row in rows.items() if row is not None}

    def _soup_scores(self, records: Sequence[TrialRecord], loss: Loss) -> dict[Subset, float]:
        """Negative mean loss of every soup evaluated so far, by its members; -inf for a failed one."""
        scores: dict[Subset, float] = {}
        for record in records:
            subset = self._soup(record)
            if subset is not None:
                scores.setdefault(subset, -loss(record) if record.complete else -np.inf)
        return scores

    def _soup(self, record: TrialRecord) -> Subset | None:
        """The members whose uniform soup a trial is; None of another candidate. It is remembered by its number."""
        if record.number not in self._soups:
            row = record.proposal.table.members[0]
            subset = frozenset(np.flatnonzero(row).tolist())
            likely = bool(subset) and row.max() == 1.0 / len(subset)  # told without building a soup
            same = likely and record.proposal.table == soup(subset, self.space.groups, self.space.members)
            self._soups[record.number] = subset if same else None
        return self._soups[record.number]

    def _vertices(self) -> list[CoefficientTable]:
        """The table of every member."""
        members = self.space.members
        return [soup((number,), self.space.groups, members) for number in range(members)]

    def _proposal(self, name: str, table: CoefficientTable) -> Proposal:
        for number, vertex in enumerate(self._vertices() if self.raw_members else ()):
            if table == vertex:
                return Proposal(table, name, member=number)  # its weights are not those of x, so it has none
        return Proposal(table, name, self.space.vector(table))
