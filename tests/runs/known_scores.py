"""Races of candidates whose scores are known from the start: coefficient k is the candidate of row k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import numpy as np

from mergesearch.evaluators.estimators.mean import Mean
from mergesearch.evaluators.evaluator import IntArray, Scores
from mergesearch.evaluators.racing.strata import FloatArray, Strata
from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.racing.course import Course
from mergesearch.runs.racing.track import Track
from mergesearch.runs.record import Proposal, TrialRecord
from mergesearch.runs.workbench import Workbench
from mergesearch.spaces.table import CoefficientTable


class KnownScores:
    """Evaluates from tables, task -> scores of all candidates, `candidates x samples`; each task has the metric acc."""

    def __init__(self, tables: Mapping[str, FloatArray]) -> None:
        self.tables, self.panel = tables, self

    def metrics(self) -> dict[str, dict[str, bool]]:
        """Of each task, and that higher is better."""
        return {task: {"acc": True} for task in self.tables}

    def evaluate(self, proposal: Proposal, samples: Mapping[str, IntArray], metrics: object) -> Scores:
        """Scores of the candidate's row on the samples."""
        row = int(proposal.table.members[0, 0])
        return {task: {"acc": MetricScores.mean(self.tables[task][row][rows])} for task, rows in samples.items()}


def bench(tables: Mapping[str, FloatArray]) -> Workbench:
    """What evaluates candidates of these scores."""
    return cast(Workbench, KnownScores(tables))


def track(tables: Mapping[str, FloatArray], sizes: Mapping[str, tuple[int, ...]]) -> Track:
    """Samples are visited as they stand, and estimates are plain means."""
    courses = {}
    for task, table in tables.items():
        count = table.shape[1]
        strata = Strata(np.zeros(count, dtype=np.int64), np.array([False]))
        estimators = {"acc": Mean(strata, table[:0])}
        courses[task] = Course(np.arange(count), strata, np.arange(count), sizes[task], estimators)
    objectives = Objectives(tuple(Objective(task, "acc", True) for task in tables))
    return Track(bench(tables), objectives, courses)


def proposed(row: int) -> Proposal:
    """The candidate of a row."""
    return Proposal(CoefficientTable.of(np.array([[float(row)]])), "random")


def trial(row: int, values: Sequence[float], visited: float = 1.0, missed: float = 0.0) -> TrialRecord:
    """The finished trial of a row, by its scores, the share of samples it saw, and what it misses a floor by."""
    return TrialRecord(
        number=row,
        proposal=proposed(row),
        values=tuple(values),
        errors=tuple(0.1 for _ in values),
        violations=(missed,),
        key=f"{row}",
        reason=None,
        started=datetime(2026, 1, 1),
        seconds=1.0,
        visited=visited,
    )
