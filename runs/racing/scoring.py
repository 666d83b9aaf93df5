"""Scoring of a candidate of a race, on all samples or on those that a look sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...spaces.table import FloatArray
from ..evaluation_file import Samples
from ..objectives import Objectives
from ..record import Proposal
from ..workbench import Metrics, Workbench
from .track import Track


@dataclass(frozen=True)
class Evaluation:
    """What the scoring of a candidate came to.

    Attributes:
        values: one per objective; estimates where it was stopped early, None where a screen stopped it.
        errors: their standard errors.
        visited: share of the objectives' samples that they rest on.
        key: of the scores behind them.
        reason: why there are no values; None where there are.
    """

    values: tuple[float, ...] | None
    errors: tuple[float, ...]
    visited: float
    key: str
    reason: str | None = None


@dataclass(frozen=True)
class Scoring:
    """Makes evaluations of candidates, and keeps the scores behind them.

    Attributes:
        bench: evaluates.
        objectives: the run's.
        samples: what the search sees, ascending indices per task.
    """

    bench: Workbench
    objectives: Objectives
    samples: Samples

    def in_full(self, proposal: Proposal, metrics: Metrics | None = None) -> Evaluation:
        """Score a candidate on all samples, and keep the scores in the run's files.

        Raises:
            TrialError: it could not be scored.
            InputError: the scores cannot be saved.
        """
        scores = self.bench.score(proposal, self.samples, metrics)
        picked = self.objectives.pick(scores)
        values, errors = tuple(one.value for one in picked), tuple(one.stderr for one in picked)
        return Evaluation(values, errors, 1.0, self.bench.key(proposal, self.samples))

    def in_part(self, proposal: Proposal, track: Track, estimates: Sequence[Estimate], left: int) -> Evaluation:
        """What is known of a candidate at a look that so many others follow; see `keep`."""
        scores = track.scores(proposal, left)
        return Evaluation(
            values=tuple(one.value for one in estimates),
            errors=tuple(math.hypot(one.error, _spread(each)) for one, each in zip(estimates, scores, strict=True)),
            visited=track.share(left),
            key=self.bench.key(proposal, track.samples(left)),
        )

    def keep(self, proposal: Proposal, track: Track, left: int) -> None:
        """Keep the scores behind what is known of a candidate in the run's files."""
        self.bench.score(proposal, track.samples(left), self.objectives.metrics)

    def wanted(self) -> Metrics:
        """Metrics by task: the objectives', and all of tasks that no objective is of."""
        everything: Metrics = {task: list(names) for task, names in self.bench.panel.metrics().items()}
        return {**everything, **self.objectives.metrics}


def _spread(scores: FloatArray) -> float:
    """Standard error of a mean over as many samples as there are all in all, from those that were visited."""
    return float(np.nanstd(scores) / math.sqrt(len(scores)))
