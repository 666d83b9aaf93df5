"""Simulated runs: search samples choose a front and a winner, held-out samples judge them; and ties.

What chooses and what judges are the functions of the package that a real run is judged by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from _simulated_scores import SKILLS, Kind, draw, truth_of
from _tally import Tally

from mergesearch.evaluators.statistics.intervals import score_interval
from mergesearch.evaluators.statistics.scores import FloatArray, MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import Picked, WeightedMean
from mergesearch.runs.outcome.optimism import Promises
from mergesearch.runs.outcome.shortlist import shortlist
from mergesearch.runs.outcome.ties import WORSE, against_winner, ties
from mergesearch.runs.outcome.verdict import compare
from mergesearch.runs.record import Proposal, TrialRecord
from mergesearch.spaces.table import CoefficientTable

_TABLE = CoefficientTable(np.zeros((1, 1)), np.ones(1))
_BASELINES = {0: "uniform soup", 1: "member a", 2: "member b"}
_MEMBER = 1  # a candidate that is on the list whatever it scores
_TRADED = 0.5  # of what is gained on one task, lost on the next


@dataclass(frozen=True)
class WholeRun:
    """A run, held-out judgement included.

    Attributes:
        kind: of scores.
        samples: of each task, for the search and once more held out.
        alike: correlation of two candidates on a sample.
        tasks: number of objectives, each of a task of its own.
        candidates: how many.
        spread: standard deviation of what they truly can, on the scale of a normal distribution's quantiles.
    """

    kind: Kind
    samples: int
    alike: float = 0.6
    tasks: int = 2
    candidates: int = 40
    spread: float = 0.15

    def __str__(self) -> str:
        return f"{self.kind}, {self.tasks} objectives, correlated by {self.alike}"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Draw candidates, let search samples choose, let held-out samples judge."""
        skills = generator.normal(generator.uniform(*SKILLS), self.spread, (self.tasks, self.candidates))
        skills[1:] -= _TRADED * (skills[:-1] - skills[:-1].mean(axis=1, keepdims=True))
        truth = truth_of(self.kind, skills)
        searched, held_out = (self._scores(generator, skills) for _ in range(2))
        mean = weighted_mean(self.tasks)
        chosen = shortlist(mean.objectives, list(_records(searched)), mean.weights, None)
        promises = Promises(mean, dict(enumerate(searched)), dict(enumerate(held_out)))
        for number in chosen.front:
            for task, true in enumerate(truth[:, number].tolist()):
                tally.count("a score of the front", true in score_interval(held_out[number][task]))
                tally.count("naive: a search score of the front", true in score_interval(searched[number][task]))
        _judge_winner(tally, promises, chosen.front, truth.mean(axis=0))
        for one in compare(mean, chosen, promises.held_out):
            gain = float(truth.mean(axis=0)[[chosen.front[0], chosen.rivals[one.rival]]] @ [1, -1])
            tally.count("gain of the winner over a baseline", gain in one.gain, one.gain.value - gain)

    def _scores(self, generator: np.random.Generator, skills: FloatArray) -> list[Picked]:
        tasks = [draw(generator, self.kind, each, self.samples, self.alike) for each in skills]
        return [[MetricScores.mean(each) for each in picked] for picked in zip(*tasks, strict=True)]


@dataclass(frozen=True)
class Equals:
    """Twelve candidates that are all equal, or three of each skill: how often are equal ones said to differ?"""

    kind: Kind
    samples: int
    alike: float = 0.6
    skills: int = 1

    def __str__(self) -> str:
        return f"{self.kind}, 12 of {self.skills} skill{'s' * (self.skills > 1)}, correlated by {self.alike}"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Two tasks, held out; what counts is the part of wrong ones among the pairs that are said to differ."""
        skills = np.repeat(generator.normal(generator.uniform(*SKILLS), 0.5, (2, self.skills)), 12 // self.skills, 1)
        tasks = [draw(generator, self.kind, each, self.samples, self.alike) for each in skills]
        tied = ties({n: [MetricScores.mean(task[n]) for task in tasks] for n in range(12)})
        said = [(one, other) for one in tied for other in tied if one < other and other not in tied[one]]
        wrong = sum(bool((skills[:, one] == skills[:, other]).all()) for one, other in said)
        tally.count("pairs said to differ", 1 - wrong / max(len(said), 1))


def _judge_winner(tally: Tally, promises: Promises, front: Sequence[int], truth: FloatArray) -> None:
    """Count what is said of the first of the front; `truth` are the candidates' true means."""
    mean, winner, best = promises.mean, front[0], max(front, key=lambda number: float(truth[number]))
    found, naive = (mean.of(scores[winner]) for scores in (promises.held_out, promises.searched))
    true = float(truth[winner])
    tally.count("mean of the winner", true in found, found.value - true)
    tally.count("naive: search mean of the winner", true in naive, naive.value - true)
    tally.count("optimism of the winner", naive.value - true in promises.gap(winner))
    tally.count("optimism of a member (none)", 0.0 in promises.gap(_MEMBER))
    verdicts = against_winner(mean, winner, {number: promises.held_out[number] for number in front})
    tally.count("best of the front not called worse", verdicts[best] != WORSE)


def weighted_mean(tasks: int) -> WeightedMean:
    """The plain mean of so many objectives, the more the better."""
    objectives = Objectives(tuple(Objective(f"task {task}", "score", True) for task in range(tasks)))
    return WeightedMean(objectives, np.full(tasks, 1 / tasks))


def _records(scores: list[Picked]) -> Iterator[TrialRecord]:
    for number, picked in enumerate(scores):
        values, errors = tuple(one.value for one in picked), tuple(one.stderr for one in picked)
        proposal = Proposal(_TABLE, _BASELINES.get(number, "random"))
        yield TrialRecord(number, proposal, values, errors, (), str(number), None, datetime.min, 0.0)
