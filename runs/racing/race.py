"""Scoring of a candidate look by look, until it has seen all samples or is not worth any more of them.

What happens is a function of the configuration and the finished trials alone, as all of a run is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.evaluator import IntArray
from ...evaluators.racing.looks import look_sizes
from ...spaces.table import FloatArray
from ..config import Config
from ..proposals import Proposals
from ..record import Proposal, TrialRecord
from ..workbench import Workbench
from .against_front import AgainstFront
from .among_rivals import AmongRivals
from .confirmation import Confirmation
from .confirmed import Confirmed, with_confirmed
from .course import estimator_of
from .scoring import Evaluation, Scoring
from .screening import Screens
from .standings import settled
from .track import Track, lay_track

log = logging.getLogger(__name__)

_RACING, _HALVING = 1.5, 2.0  # ratios of a look's samples to those of the look before


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
        self._baselines = config.search.baselines
        self._scoring = Scoring(bench, proposals.objectives, samples)
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
        looks = max(map(self._sizes, counts), key=len)
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
            return self._scoring.in_full(proposal)
        behind = self._screens.behind(proposal, records)
        if behind is not None:
            return Evaluation(None, (), 0.0, "", behind)
        track = self._laid(records)
        if track is None:
            return self._scoring.in_full(proposal)
        rule = self._rule(track, records, proposal)
        for left in range(track.looks - 1, 0, -1):
            scores = track.scores(proposal, left)
            if rule.stops(scores, left):
                estimates = rule.estimates(scores, left)
                if not self._one_mean:  # which is told as it was measured, and compared by that
                    estimates = settled(track, proposal, estimates, records)
                found = self._scoring.in_part(proposal, track, estimates, left)
                self._scoring.keep(proposal, track, left)
                return found
        return self._scoring.in_full(proposal, self._scoring.wanted())

    def confirm(self, records: Sequence[TrialRecord], progress: Callable[[int], None]) -> dict[int, Confirmed]:
        """Score on what was stopped early and may belong to the front all the same; see `Confirmation`.

        Raises:
            InputError: the scores cannot be saved.
        """
        track = self._laid(records) if any(record.complete and not record.whole for record in records) else None
        if track is None:
            return {}
        least = 0.0 if self._one_mean else self._options.confirm
        score, may_win = partial(self._scored_on, track), self._proposals.objectives.may_keep_floors
        confirmation = Confirmation(
            track, self._scale(records), least, score, lambda one: may_win(one.values, one.errors)
        )
        found = confirmation.confirm(records, progress)
        for record in with_confirmed([records[number] for number in found], found):
            if not record.whole:
                self._scoring.keep(record.proposal, track, track.left(record))
        return found

    def _scored_on(self, track: Track, record: TrialRecord, estimates: Sequence[Estimate], left: int) -> Confirmed:
        """What is known of a stopped trial at a later look, or, with none left, of all its samples."""
        if left:
            found = self._scoring.in_part(record.proposal, track, estimates, left)
        else:
            found = self._scoring.in_full(record.proposal, self._scoring.wanted())
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
            self._track = lay_track(
                self._bench, objectives, self._samples, references, self._sizes, self._options, self._seed
            )
            if isinstance(self._track, str):
                log.warning("racing is off: %s", self._track)
            else:
                self._note_missing_members(records)
        return None if isinstance(self._track, str) else self._track

    def _note_missing_members(self, records: Sequence[TrialRecord]) -> None:
        """Say so where the baselines that the user named leave members out, whose scores order the samples."""
        known, members = self._proposals.baselines.scored_members(records), len(self._bench.members)
        if self._baselines is not None and known < members:
            log.warning(
                "the order of samples in a race follows the scores of members, of which %d of %d are known; "
                "'member *' among search.baselines makes all known",
                known,
                members,
            )

    def _sizes(self, count: int) -> tuple[int, ...]:
        """How many samples of a task with so many each look sees."""
        return look_sizes(count, self._options.first, _HALVING if self._one_mean else _RACING)

    def _rule(self, track: Track, records: Sequence[TrialRecord], proposal: Proposal) -> AgainstFront | AmongRivals:
        scale, options = self._scale(records), self._options
        if self._one_mean:
            return AmongRivals(track, scale, options.keep, records, proposal)
        return AgainstFront(track, scale, options.false_stops, options.margin, records, proposal)

    def _scale(self, records: Sequence[TrialRecord]) -> FloatArray:
        """What turns the objectives' values into losses, `losses x objectives`."""
        signs = self._proposals.objectives.signs
        return (self._proposals.weights(records) * signs)[None] if self._one_mean else np.diag(signs)
