"""The track of a race: the course of every task that an objective is of, and how far each trial came on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from zlib import crc32

import numpy as np

from ...errors import TrialError
from ...evaluators.estimators.estimator import Estimate
from ...evaluators.evaluator import IntArray
from ...evaluators.statistics.scores import MetricScores
from ...spaces.table import FloatArray
from ..config import RacingConfig
from ..objectives import Objectives
from ..record import Proposal, TrialRecord
from ..workbench import Workbench
from .course import Course

_PAIRED = 32  # trials; more of them cost more than they tell

EachScores = list[FloatArray]  # one array per objective, `samples`; NaN where a sample was not visited


class Track:
    """The same for all candidates of a run. Looks are told by how many `left` follow them, since tasks differ in size.

    Args:
        bench: evaluates.
        objectives: the run's.
        courses: of every task that an objective is of.
    """

    def __init__(self, bench: Workbench, objectives: Objectives, courses: Mapping[str, Course]) -> None:
        self._bench, self._objectives, self._courses = bench, objectives, courses
        self._recorded: dict[tuple[int, int], EachScores] = {}
        self._looks: dict[tuple[int, int], list[Estimate]] = {}
        self.sizes = max((course.sizes for course in courses.values()), key=len)
        self.looks = len(self.sizes)

    def samples(self, left: int) -> dict[str, IntArray]:
        """What a look sees, ascending indices per task."""
        return {task: course.rows[course.positions(left)] for task, course in self._courses.items()}

    def share(self, left: int) -> float:
        """How much of all samples a look sees."""
        return self._shares[left]

    @cached_property
    def _shares(self) -> list[float]:
        """How much each look sees, by how many are left."""
        total = sum(len(course.rows) for course in self._courses.values())
        seen = [sum(len(rows) for rows in self.samples(left).values()) for left in range(self.looks)]
        return [one / total for one in seen]

    def scores(self, proposal: Proposal, left: int) -> EachScores:
        """Scores of a candidate as far as a look sees them; what is not known yet is evaluated.

        Raises:
            TrialError: it could not be scored.
            InputError: the scores cannot be saved.
        """
        scores = self._bench.evaluate(proposal, self.samples(left), self._objectives.metrics)
        found = []
        for objective, one in zip(self._objectives.each, self._objectives.pick(scores), strict=True):
            if one.samples is None:
                raise TrialError(f"{objective.name} has no value of its own for each sample of this candidate")
            found.append(self._courses[objective.task].placed(one.samples, left))
        return found

    def recorded(self, record: TrialRecord) -> EachScores:
        """Scores of a finished trial, as far as it came: further, where it was scored on at the end."""
        left = self.left(record)
        if (record.number, left) not in self._recorded:
            self._recorded[record.number, left] = self.scores(record.proposal, left)
        return self._recorded[record.number, left]

    def reached(self, record: TrialRecord, left: int) -> bool:
        """Whether a finished trial came as far as a look."""
        return record.complete and record.visited >= self.share(left)

    def looked_at(self, record: TrialRecord, left: int, records: Sequence[TrialRecord]) -> list[Estimate]:
        """What a look told of a finished trial that came so far, beside those of `records` that were whole by then."""
        if (record.number, left) not in self._looks:
            before = [one for one in records[: record.number] if one.whole]
            incumbents = nearest(self, record.proposal, before)
            self._looks[record.number, left] = self.estimates(self.recorded(record), incumbents, left)
        return self._looks[record.number, left]

    def estimates(self, scores: EachScores, incumbents: Sequence[EachScores], left: int) -> list[Estimate]:
        """What a look tells of each objective on all samples of the search, beside others who know all their scores."""
        found = []
        for row, objective in enumerate(self._objectives.each):
            course = self._courses[objective.task]
            theirs = np.array([one[row] for one in incumbents]).reshape(len(incumbents), len(course.rows))
            found.append(course.estimate(objective.metric, scores[row], theirs, left))
        return found

    def left(self, record: TrialRecord) -> int:
        """How many looks were left when a trial ended."""
        return next(left for left in range(self.looks) if self.share(left) <= record.visited)


def nearest(track: Track, proposal: Proposal, whole: Sequence[TrialRecord]) -> list[EachScores]:
    """Scores of the trials whose coefficients are nearest to a candidate's, in the order of the trials."""
    ours = proposal.table.members
    away = [float(((record.proposal.table.members - ours) ** 2).sum()) for record in whole]
    return [track.recorded(whole[row]) for row in sorted(np.argsort(away, kind="stable")[:_PAIRED])]


def lay_track(
    bench: Workbench,
    objectives: Objectives,
    samples: Mapping[str, IntArray],
    references: Sequence[TrialRecord],
    sizes: Callable[[int], tuple[int, ...]],
    options: RacingConfig,
    seed: int,
) -> Track | str:
    """Lay the track out by what the references (the members' trials) know; or say why there can be none.

    Args:
        bench: evaluates.
        objectives: the run's.
        samples: what the search sees, ascending indices per task.
        references: trials that were scored in full.
        sizes: how many samples each look sees of a task with so many.
        options: which order and estimator.
        seed: of the order.

    Raises:
        InputError: there is no such estimator.
    """
    picked = [objectives.pick(bench.score(one.proposal, dict(samples), objectives.metrics)) for one in references]
    courses = {}
    for task in objectives.tasks:
        rows = samples[task]
        scores: dict[str, FloatArray] = {}
        for row, objective in enumerate(objectives.each):
            if objective.task == task:
                columns = [_plain(trial[row]) for trial in picked]
                if any(column is None for column in columns):
                    return f"{objective.name} has no value of its own for each sample"
                scores[objective.metric] = np.array(columns, dtype=np.float64).reshape(len(picked), len(rows))
        courses[task] = Course.laid(rows, scores, sizes(len(rows)), [seed, crc32(task.encode())], options)
    return Track(bench, objectives, courses)


def _plain(scores: MetricScores) -> FloatArray | None:
    """One value per sample, whose mean the metric is; None of another metric."""
    return scores.samples if scores.replicates is None else None
