"""What a run evaluates next: its baselines, and then what the searcher proposes.

The next proposal is a function of the configuration and the finished trials alone, so that a resumed run goes on
exactly as the uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..plugins import call_user
from ..search.history import Guides, History
from ..search.searcher import Searcher
from ..spaces.table import FloatArray
from .baselines import Baselines
from .guides import Guide
from .objectives import Objectives
from .outcome.shortlist import mean_loss
from .record import Proposal, TrialRecord


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
    guides: tuple[Guide | None, ...] | None = None

    def next(self, records: Sequence[TrialRecord]) -> Proposal | None:
        """The candidate of trial `len(records)`; None once the searcher has nothing left to try."""
        first = self.baselines.proposals
        if len(records) < len(first):
            return first[len(records)]
        baseline = self.baselines.next_weighted(records, self.objectives)
        baseline = baseline or self.baselines.next_greedy(records, self.mean_loss(records))
        if baseline is not None:
            return baseline
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
        return mean_weights(self.objectives, records, self.baselines.names)

    def mean_loss(self, records: Sequence[TrialRecord]) -> Callable[[TrialRecord], float]:
        """The weighted mean loss of a trial, by what these trials say of the weights; infinite for a failed one."""
        return partial(mean_loss, self.objectives, self.weights(records))

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
            baselines=sum(r.proposal.origin != self.name for r in scored),
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
    names = set(baselines)
    values = [record.values for record in records if record.values and record.proposal.origin in names]
    return objectives.weights(np.array(values).reshape(len(values), len(objectives.each)))
