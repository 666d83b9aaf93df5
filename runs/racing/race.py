"""Scoring of a candidate look by look, until it has seen all samples or is not worth any more of them.

What happens is a function of the configuration and the finished trials alone, as all of a run is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.evaluator import IntArray
from ...evaluators.racing.looks import look_sizes
from ...spaces.table import FloatArray
from ..config import Config
from ..proposals import Proposals
from ..record import Proposal, TrialRecord
from ..workbench import Metrics, Workbench
from .against_front import AgainstFront
from .confirmation import Confirmation
from .confirmed import Confirmed
from .course import estimator_of
from .screening import Screens
from .standings import settled
from .track import Track, lay_track

log = logging.getLogger(__name__)


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


class Race:
    """Scores the candidates of one run.

    The searcher's candidates race: in one order of the samples, the same for all, each is scored until an incumbent
    surely dominates it; of one objective, or one weighted mean, that is the best trial. Baselines are scored in full,
    and so is every candidate where `racing` is off, where an objective has no value of its own for each sample, or
    where the searcher follows gradients, which are of all samples.

    Args:
        bench: evaluates.
        proposals: what the objectives are, and whether the searcher sees one mean of them.
        samples: what the search sees, ascending indices per task.
        config: the run's.

    Raises:
        InputError: no such estimator or screen.
    """

    def __init__(self, bench: Workbench, proposals: Proposals, samples: dict[str, IntArray], config: Config) -> None:
        self._bench, self._proposals, self._samples = bench, proposals, samples
        self._options, self._seed = config.racing, config.samples.seed
        self._screens = Screens(config.racing.screens, bench, samples)
        estimator_of(config.racing)
        self._track: Track | str | None = None

    @property
    def summary(self) -> str:
        """Whether candidates will race, in a few words."""
        if not self._options.enabled:
            return "off"
        if self._proposals.guides is not None:
            return f"off, since {self._proposals.name} follows gradients, which are of all samples"
        counts = [len(self._samples[task]) for task in self._proposals.objectives.tasks]
        looks = max((look_sizes(count, self._options.first) for count in counts), key=len)
        if len(looks) == 1:
            return f"off, since no task has {2 * self._options.first} samples or more for the search"
        return f"on, with looks at {', '.join(map(str, looks[:-1]))} and all samples of a task"

    def evaluate(self, proposal: Proposal, records: Sequence[TrialRecord]) -> Evaluation:
        """Score the candidate of trial `len(records)`.

        Raises:
            TrialError: it could not be scored.
            InputError: the scores cannot be saved.
        """
        if not self._may_stop(proposal, records):
            return self._in_full(proposal)
        behind = self._screens.behind(proposal, records)
        if behind is not None:
            return Evaluation(None, (), 0.0, "", behind)
        track = self._laid(records)
        if track is None:
            return self._in_full(proposal)
        rule = self._rule(track, records, proposal)
        for left in range(track.looks - 1, 0, -1):
            scores = track.scores(proposal, left)
            if rule.stops(scores, left):
                estimates = rule.estimates(scores, left)
                if not self._one_mean:  # which is told as it was measured, and compared by that
                    estimates = settled(track, proposal, estimates, records)
                return self._partial(proposal, track, estimates, left)
        return self._in_full(proposal, self._wanted())

    def confirm(self, records: Sequence[TrialRecord], progress: Callable[[int], None]) -> dict[int, Confirmed]:
        """Score on what was stopped early and may belong to the front all the same; see `Confirmation`.

        Raises:
            InputError: the scores cannot be saved.
        """
        track = self._laid(records) if any(record.complete and not record.whole for record in records) else None
        if track is None:
            return {}
        least = 0.0 if self._one_mean else self._options.confirm
        return Confirmation(track, self._scale(records), least, partial(self._scored_on, track)).confirm(
            records, progress
        )

    def _scored_on(self, track: Track, record: TrialRecord, estimates: Sequence[Estimate], left: int) -> Confirmed:
        """What is known of a stopped trial at a later look, or, with none left, of all its samples."""
        if left:
            found = self._partial(record.proposal, track, estimates, left)
        else:
            found = self._in_full(record.proposal, self._wanted())
        values = found.values or ()
        violations = self._proposals.objectives.violations(values)
        return Confirmed(values, found.errors, violations, found.key, found.visited)

    @property
    def _one_mean(self) -> bool:
        """Whether candidates are compared by one number."""
        return len(self._proposals.objectives.each) == 1 or self._proposals.scalarise

    def _may_stop(self, proposal: Proposal, records: Sequence[TrialRecord]) -> bool:
        """Whether a candidate is the searcher's, and has not all its scores already."""
        if not self._options.enabled or self._proposals.guides is not None or proposal.origin != self._proposals.name:
            return False
        key = self._bench.key(proposal, self._samples)
        return all(record.key != key for record in records)

    def _laid(self, records: Sequence[TrialRecord]) -> Track | None:
        """The track of the run, laid out once its baselines are scored; None where there can be none."""
        if self._track is None:
            references = self._proposals.baselines.references(records)
            objectives = self._proposals.objectives
            self._track = lay_track(self._bench, objectives, self._samples, references, self._options, self._seed)
            if isinstance(self._track, str):
                log.warning("racing is off: %s", self._track)
        return None if isinstance(self._track, str) else self._track

    def _rule(self, track: Track, records: Sequence[TrialRecord], proposal: Proposal) -> AgainstFront:
        margin = self._options.margin_of_one if self._one_mean else self._options.margin
        return AgainstFront(track, self._scale(records), self._options.false_stops, margin, records, proposal)

    def _scale(self, records: Sequence[TrialRecord]) -> FloatArray:
        """What turns the objectives' values into losses, `losses x objectives`."""
        signs = self._proposals.objectives.signs
        return (self._proposals.weights(records) * signs)[None] if self._one_mean else np.diag(signs)

    def _in_full(self, proposal: Proposal, metrics: Metrics | None = None) -> Evaluation:
        scores = self._bench.score(proposal, self._samples, metrics)
        picked = self._proposals.objectives.pick(scores)
        values, errors = tuple(one.value for one in picked), tuple(one.stderr for one in picked)
        return Evaluation(values, errors, 1.0, self._bench.key(proposal, self._samples))

    def _partial(self, proposal: Proposal, track: Track, estimates: Sequence[Estimate], left: int) -> Evaluation:
        """What is known of a candidate that stops; the scores behind it are kept."""
        samples, scores = track.samples(left), track.scores(proposal, left)
        self._bench.score(proposal, samples, self._proposals.objectives.metrics)
        return Evaluation(
            values=tuple(one.value for one in estimates),
            errors=tuple(math.hypot(one.error, _spread(each)) for one, each in zip(estimates, scores, strict=True)),
            visited=track.share(left),
            key=self._bench.key(proposal, samples),
        )

    def _wanted(self) -> Metrics:
        """Metrics by task: the objectives', and all of tasks that no objective is of."""
        everything: Metrics = {task: list(names) for task, names in self._bench.panel.metrics().items()}
        return {**everything, **self._proposals.objectives.metrics}


def _spread(scores: FloatArray) -> float:
    """Standard error of a mean over as many samples as there are all in all, from those that were visited."""
    return float(np.nanstd(scores) / math.sqrt(len(scores)))
