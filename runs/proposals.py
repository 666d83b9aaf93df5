"""What a run evaluates next: its baselines, the greedy soup's pass, and then what the searcher proposes.

The next proposal is a function of the configuration and the finished trials alone, so that a resumed run goes on
exactly as the uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property

import numpy as np

from ..errors import InputError, nearest
from ..plugins import call_user
from ..search.greedy import Subset, best_soup, next_soup
from ..search.history import Guides, History
from ..search.searcher import Searcher
from ..spaces.canonical import soup
from ..spaces.space import Space
from ..spaces.table import CoefficientTable, FloatArray
from .guides import Guide
from .objectives import Objectives
from .record import Proposal, TrialRecord

GREEDY = "greedy pass"


@dataclass(frozen=True)
class Baselines:
    """The canonical points that a run evaluates first, and the greedy soup.

    Attributes:
        space: the space searched.
        points: canonical points by name, in the order of evaluation.
        raw_members: whether members are evaluated as they stand on disk, because a transform changed their deltas.
    """

    space: Space
    points: dict[str, CoefficientTable]
    raw_members: bool = False

    @classmethod
    def choose(
        cls, space: Space, points: dict[str, CoefficientTable], globs: Sequence[str], raw_members: bool
    ) -> Baselines:
        """Keep the canonical points that any glob matches.

        Raises:
            InputError: a glob matches none; names the points.
        """
        for pattern in globs:
            if not any(fnmatch(name, pattern) for name in points):
                raise InputError(f"no canonical point matches '{pattern}'; {nearest(pattern, points)}")
        kept = {name: table for name, table in points.items() if any(fnmatch(name, pattern) for pattern in globs)}
        return cls(space, kept, raw_members)

    @cached_property
    def proposals(self) -> list[Proposal]:
        """The canonical points as candidates."""
        return [self._proposal(name, table) for name, table in self.points.items()]

    def next_greedy(self, records: Sequence[TrialRecord], losses: FloatArray) -> Proposal | None:
        """The soup that the greedy pass must score next, by mean loss, `trials`; None at its end.

        None also where some member was not evaluated, for then there is no pass.
        """
        scores = self._soup_scores(records, losses)
        members = self.space.members
        if any(frozenset({index}) not in scores for index in range(members)):
            return None
        subset = next_soup(scores, members)
        if subset is None:
            return None
        table = soup(subset, self.space.groups, members)
        return Proposal(table, f"{GREEDY}, {len(subset)} members", self.space.vector(table))

    def greedy_trial(self, records: Sequence[TrialRecord], losses: FloatArray) -> int | None:
        """Number of the trial that is the greedy soup; None while the pass is not finished."""
        scores = self._soup_scores(records, losses)
        if not scores or self.next_greedy(records, losses) is not None:
            return None
        best = best_soup(scores, self.space.members)
        if not best:
            return None
        wanted = soup(best, self.space.groups, self.space.members)
        return next((one.number for one in records if one.complete and one.proposal.table == wanted), None)

    def _soup_scores(self, records: Sequence[TrialRecord], losses: FloatArray) -> dict[Subset, float]:
        """Negative mean loss of every soup evaluated so far, by its members; -inf for a failed one."""
        scores: dict[Subset, float] = {}
        for record, loss in zip(records, losses, strict=True):
            row = record.proposal.table.members[0]
            subset = frozenset(np.flatnonzero(row).tolist())
            if not subset or row.max() != 1.0 / len(subset):
                continue  # the common case, told without building a soup
            if record.proposal.table == soup(subset, self.space.groups, self.space.members):
                scores.setdefault(subset, -float(loss) if record.complete else -np.inf)
        return scores

    def _proposal(self, name: str, table: CoefficientTable) -> Proposal:
        for number in range(self.space.members if self.raw_members else 0):
            if table == soup((number,), self.space.groups, self.space.members):
                return Proposal(table, name, member=number)  # its weights are not those of x, so it has none
        return Proposal(table, name, self.space.vector(table))


@dataclass(frozen=True)
class Proposals:
    """The order of a run.

    Attributes:
        baselines: what comes first.
        searcher: what comes then.
        name: the searcher's name in the configuration.
        objectives: how values become losses.
        scalarise: whether the searcher sees one weighted mean.
        guides: the differentiable loss of each objective, (task, metric); None where trials record none.
    """

    baselines: Baselines
    searcher: Searcher
    name: str
    objectives: Objectives
    scalarise: bool
    guides: tuple[Guide, ...] | None = None

    def next(self, records: Sequence[TrialRecord]) -> Proposal | None:
        """The candidate of trial `len(records)`; None once the searcher has nothing left to try."""
        first = self.baselines.proposals
        if len(records) < len(first):
            return first[len(records)]
        greedy = self.baselines.next_greedy(records, self.mean_losses(records))
        if greedy is not None:
            return greedy
        x = self.ask(records)
        return None if x is None else Proposal(self.baselines.space.table(x), self.name, x)

    def ask(self, records: Sequence[TrialRecord]) -> FloatArray | None:
        """What the searcher proposes after these trials, `dimension`; None once it has nothing left to try.

        Raises:
            InputError: the searcher cannot search this space, or failed.
        """
        x: FloatArray | None = call_user(f"searcher '{self.name}'", self.searcher.ask, history=self.history(records))
        return x

    def weights(self, records: Sequence[TrialRecord]) -> FloatArray:
        """Weights of the objectives' mean, `objectives`; see `mean_weights`."""
        return mean_weights(self.objectives, records, list(self.baselines.points))

    def mean_losses(self, records: Sequence[TrialRecord]) -> FloatArray:
        """Weighted mean loss of every trial, `trials`; NaN for failed ones."""
        weighted = self.weights(records) * self.objectives.signs
        return np.array([np.nan if r.values is None else float(np.dot(weighted, r.values)) for r in records])

    def history(self, records: Sequence[TrialRecord]) -> History:
        """What the searcher may know of the finished trials."""
        scored = [r for r in records if r.values is not None and r.proposal.x is not None]
        others = [r.proposal.x for r in records if r.values is None and r.proposal.x is not None]
        space, objectives = self.baselines.space, len(self.objectives.each)
        losses = np.array([r.values for r in scored]).reshape(len(scored), objectives) * self.objectives.signs
        errors = np.array([r.errors for r in scored]).reshape(len(scored), objectives)
        if self.scalarise:
            weights = self.weights(records)
            losses = (losses @ weights)[:, None]
            errors = self.objectives.mean_errors(weights, errors)[:, None]
        floors = sum(objective.floor is not None for objective in self.objectives.each)
        return History(
            space=space,
            number=len(records),
            x=np.array([r.proposal.x for r in scored]).reshape(len(scored), space.dimension),
            losses=losses,
            errors=errors,
            violations=np.array([r.violations for r in scored]).reshape(len(scored), floors),
            unscored=np.array(others).reshape(len(others), space.dimension),
            guides=self._guides(scored, self.weights(records) if self.scalarise else None),
        )

    def _guides(self, scored: Sequence[TrialRecord], weights: FloatArray | None) -> Guides | None:
        """Guides of these trials, of their weighted mean where weights are given; NaN where a trial has none."""
        if self.guides is None:
            return None
        space, objectives = self.baselines.space, len(self.objectives.each)
        losses = np.full((len(scored), objectives), np.nan)
        slopes = np.full((len(scored), objectives, space.groups, space.members), np.nan)
        for row, record in enumerate(scored):
            if record.guidance is not None:
                losses[row], slopes[row] = record.guidance.losses, record.guidance.slopes
        if weights is None:
            return Guides(losses, slopes)
        return Guides((losses @ weights)[:, None], np.einsum("togm,o->tgm", slopes, weights)[:, None])


def mean_weights(objectives: Objectives, records: Sequence[TrialRecord], baselines: Sequence[str]) -> FloatArray:
    """Weights of the objectives' mean, from the canonical points of these names, `objectives`."""
    values = [record.values for record in records if record.values and record.proposal.origin in baselines]
    return objectives.weights(np.array(values).reshape(len(values), len(objectives.each)))
