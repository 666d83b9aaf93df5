"""Simulated runs of a known truth: search samples choose a front and a winner, held-out samples judge them.

What chooses and what judges are the functions of the package that a real run is judged by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from scipy.special import ndtr, ndtri

from mergesearch.evaluators.statistics.intervals import score_interval
from mergesearch.evaluators.statistics.scores import FloatArray, MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import Picked, WeightedMean
from mergesearch.runs.outcome.shortlist import shortlist
from mergesearch.runs.outcome.ties import WORSE, against_winner
from mergesearch.runs.outcome.verdict import compare
from mergesearch.runs.record import Proposal, TrialRecord
from mergesearch.spaces.table import CoefficientTable

SHARED = 0.6  # correlation of two candidates on a sample: merges of the same members mostly fail on the same ones
_OBJECTIVES = Objectives((Objective("a", "score", True), Objective("b", "score", True)))
_MEAN = WeightedMean(_OBJECTIVES, np.array([0.5, 0.5]))
_TABLE = CoefficientTable(np.zeros((1, 1)), np.ones(1))


def draw(generator: np.random.Generator, means: FloatArray, count: int, binary: bool) -> FloatArray:
    """Scores of candidates on `count` samples whose difficulty they share, `candidates x count`.

    Args:
        generator: of chance.
        means: true mean score of each candidate, in (0, 1).
        count: number of samples.
        binary: right or wrong; graded scores between 0 and 1 otherwise (Kumaraswamy's distribution), which are
            uniform for a mean of 0.5, and nearly exponential, down from 1 or up from 0, for a mean near 1 or 0.
    """
    shared, own = generator.standard_normal(count), generator.standard_normal((len(means), count))
    ranks = ndtr(np.sqrt(SHARED) * shared + np.sqrt(1 - SHARED) * own)
    each = means[:, None]
    if binary:
        return np.asarray(ranks < each, dtype=np.float64)
    up, down = 1 - (1 - ranks) ** (each / (1 - each)), ranks ** ((1 - each) / each)
    return np.asarray(np.where(each <= 0.5, up, down), dtype=np.float64)


@dataclass(frozen=True)
class Setting:
    """What a simulated run looks like.

    Attributes:
        level: true mean score that the candidates lie around, in (0, 1).
        samples: of each of two tasks, for the search and once more held out.
        binary: see `draw`.
        candidates: how many.
        spread: standard deviation of what they truly can, on the scale of a normal distribution's quantiles.
    """

    level: float
    samples: int
    binary: bool
    candidates: int = 40
    spread: float = 0.15

    def run(self, generator: np.random.Generator) -> Tally:
        """One run: draw candidates, let search samples choose, let held-out samples judge."""
        skills = generator.normal(ndtri(self.level), self.spread, (2, self.candidates))
        skills[1] -= 0.5 * (skills[0] - ndtri(self.level))  # what is gained on one task is partly lost on the other
        truth = ndtr(skills)
        searched, held_out = self._scores(generator, truth), self._scores(generator, truth)
        chosen = shortlist(_OBJECTIVES, list(_records(searched)), _MEAN.weights, None)
        kept = {number: held_out[number] for number in chosen.all}
        tally, means = Tally(), truth.mean(axis=0)
        winner = chosen.front[0]
        for number in chosen.front:
            for task in range(2):
                tally.count("front", truth[task, number] in score_interval(held_out[number][task]))
                tally.count("front, naive", truth[task, number] in score_interval(searched[number][task]))
        tally.count("winner", means[winner] in _MEAN.of(held_out[winner]))
        tally.count("winner, naive", means[winner] in _MEAN.of(searched[winner]))
        for one in compare(_MEAN, chosen, kept):
            tally.count("gain", means[winner] - means[chosen.rivals[one.rival]] in one.gain)
        best = max(chosen.front, key=lambda number: float(means[number]))
        verdicts = against_winner(_MEAN, winner, {number: held_out[number] for number in chosen.front})
        tally.count("best kept", verdicts[best] != WORSE)
        tally.curse = _MEAN.of(searched[winner]).value - float(means[winner])
        tally.bias = _MEAN.of(held_out[winner]).value - float(means[winner])
        return tally

    def _scores(self, generator: np.random.Generator, truth: FloatArray) -> list[Picked]:
        tasks = [draw(generator, means, self.samples, self.binary) for means in truth]
        return [[MetricScores.mean(each) for each in pair] for pair in zip(*tasks, strict=True)]


class Tally:
    """How often intervals held the truth, by what they are intervals of; sums over runs."""

    def __init__(self) -> None:
        self.held: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self.curse, self.bias = 0.0, 0.0

    def count(self, name: str, held: bool) -> None:
        """Count one interval."""
        self.held[name] += held
        self.asked[name] += 1

    def add(self, other: Tally) -> None:
        """Add the counts of another run."""
        self.held += other.held
        self.asked += other.asked
        self.curse, self.bias = self.curse + other.curse, self.bias + other.bias

    def coverage(self, name: str) -> float:
        """Share of these intervals that held the truth."""
        return self.held[name] / self.asked[name]


def _records(scores: list[Picked]) -> Iterator[TrialRecord]:
    origins = {0: "uniform soup", 1: "member a", 2: "member b"}
    for number, picked in enumerate(scores):
        values, errors = tuple(one.value for one in picked), tuple(one.stderr for one in picked)
        proposal = Proposal(_TABLE, origins.get(number, "random"))
        yield TrialRecord(number, proposal, values, errors, (), str(number), None, datetime.min, 0.0)
