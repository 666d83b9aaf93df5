"""Simulated scores per sample of a known mean: one candidate's, and two candidates' on the same samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from _tally import Tally
from scipy.special import ndtr

from mergesearch.evaluators.statistics.intervals import difference_interval, score_interval
from mergesearch.evaluators.statistics.scores import FloatArray, MetricScores

Kind = Literal["binary", "graded", "heavy tails", "skewed"]
KINDS: tuple[Kind, ...] = ("binary", "graded", "heavy tails", "skewed")
SKILLS = (-1.645, 1.645)  # of accuracies from 0.05 to 0.95
_HEAVY = 0.25  # Tukey's h: tails as heavy as those of Student's distribution with 4 degrees of freedom


def truth_of(kind: Kind, skills: FloatArray) -> FloatArray:
    """True mean scores of candidates with these skills."""
    return np.asarray(ndtr(skills) if kind in ("binary", "graded") else skills, dtype=np.float64)


def draw(generator: np.random.Generator, kind: Kind, skills: FloatArray, count: int, alike: float) -> FloatArray:
    """Scores of candidates on `count` samples whose difficulty they share, `candidates x count`.

    Args:
        generator: of chance.
        kind: right or wrong (`binary`); between 0 and 1 (`graded`, Kumaraswamy's distribution), uniform for a mean of
            0.5, and nearly exponential, down from 1 or up from 0, for a mean near 1 or 0; without limits and `skewed`
            (lognormal, down from a mode: some answers break) or symmetric with `heavy tails` (Tukey's h).
        skills: of each candidate, on the scale of a normal distribution's quantiles.
        count: number of samples.
        alike: correlation of two candidates on a sample, before its score is made of it.
    """
    shared, own = generator.standard_normal(count), generator.standard_normal((len(skills), count))
    hardness, each = np.sqrt(alike) * shared + np.sqrt(1 - alike) * own, skills[:, None]
    if kind == "binary":
        return np.asarray(hardness < each, dtype=np.float64)
    if kind == "heavy tails":
        return np.asarray(each - hardness * np.exp(_HEAVY * hardness**2 / 2))
    if kind == "skewed":
        return np.asarray(each - (np.exp(hardness) - np.exp(0.5)))
    ranks, means = ndtr(hardness), ndtr(each)
    up, down = 1 - (1 - ranks) ** (means / (1 - means)), ranks ** ((1 - means) / means)
    return np.asarray(np.where(means <= 0.5, up, down), dtype=np.float64)


@dataclass(frozen=True)
class Single:
    """One candidate, not chosen by any score."""

    kind: Kind
    samples: int

    def __str__(self) -> str:
        return self.kind

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Any accuracy from 0.05 to 0.95, or what has as much skill."""
        skill = generator.uniform(*SKILLS, 1)
        found = score_interval(MetricScores.mean(draw(generator, self.kind, skill, self.samples, 0.0)[0]))
        truth = float(truth_of(self.kind, skill)[0])
        tally.count("a score", truth in found)


@dataclass(frozen=True)
class Paired:
    """Two candidates on the same samples.

    Attributes:
        kind: of scores.
        samples: number of them.
        alike: correlation of the two on a sample; binary ones agree on 80 % of the samples at 0.6, on 95 % at 0.97.
    """

    kind: Kind
    samples: int
    alike: float = 0.6

    def __str__(self) -> str:
        return f"{self.kind}, correlated by {self.alike}"

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Skills that differ by about as much as those of two candidates of a run."""
        skills = generator.uniform(*SKILLS) + 0.1 * generator.standard_normal(2)
        one, other = map(MetricScores.mean, draw(generator, self.kind, skills, self.samples, self.alike))
        truth = truth_of(self.kind, skills)
        tally.count(
            "difference of near equals" if self.alike > 0.9 else "a difference",
            float(truth[0] - truth[1]) in difference_interval(one, other),
        )
