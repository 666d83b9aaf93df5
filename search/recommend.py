"""Which searcher suits a search: one table of rules, of which the first that applies decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Problem:
    """What a search has before it.

    Attributes:
        objectives: how many it minimises; one where several are scalarised.
        members: number of them.
        dimension: coordinates of the space.
        trials: those that the budget leaves after the baselines.
        differentiable: whether every objective has a differentiable loss, and the space is smooth.
        snapshots: whether the members are the snapshots of one run, with coefficients that add up to 1.
    """

    objectives: int
    members: int
    dimension: int
    trials: int
    differentiable: bool = False
    snapshots: bool = False


@dataclass(frozen=True)
class Recommendation:
    """A searcher, and why.

    Attributes:
        searcher: its name in the configuration.
        reason: one line.
        options: its options, where they are not its own defaults.
    """

    searcher: str
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Rule:
    searcher: str
    applies: Callable[[Problem], bool]
    because: str
    options: Mapping[str, Any] = field(default_factory=dict)


# Measured on the zoo's digits, on a split of their own, one to three seeds: means of 4 and 8 tasks in 4 to 240
# dimensions, and the front of 4 in 4 and 24, up to 120 trials. The Gaussian process was ahead of TPE, CMA-ES and
# NSGA-II everywhere up to 120 dimensions, and found nothing at 240. `grow` was ahead of it up to two trials per
# dimension (from 24 dimensions on; benchmarks/RESULTS.md has ten seeds on digits and Llama), `map` on the front. Of 20
# snapshots with coefficients up to 10, only `lcsc` improved on the best average.
_PROCESS_DIMENSIONS, _PROCESS_TRIALS = 120, 300
_FRONT_TRIALS = 400
_GROWING = 2  # trials per dimension

_RULES = (
    _Rule("random", lambda problem: problem.dimension == 0, "the space is a single point"),
    _Rule(
        "lcsc",
        lambda problem: problem.snapshots and problem.objectives == 1,
        "it combines the snapshots of one run, whose coefficients are wide and add up to 1",
    ),
    _Rule(
        "grow",
        lambda problem: (
            problem.differentiable
            and problem.objectives == 1
            and problem.members < problem.dimension
            and problem.trials < _GROWING * problem.dimension
        ),
        "gradients and steps from coarse to fine suit rows of coefficients and less than two trials per dimension",
    ),
    _Rule(
        "nsga2",
        lambda problem: problem.objectives > 1 and problem.trials >= _FRONT_TRIALS,
        f"generations need a front and {_FRONT_TRIALS} trials or more",
    ),
    _Rule(
        "map",
        lambda problem: (
            problem.differentiable
            and problem.objectives > 1
            and problem.dimension <= _PROCESS_DIMENSIONS
            and problem.trials > problem.dimension - problem.members + 1  # what its design wants beside the baselines
        ),
        "gradients give it the whole front from few trials",
    ),
    _Rule(
        "gp",
        lambda problem: problem.dimension <= _PROCESS_DIMENSIONS and problem.trials <= _PROCESS_TRIALS,
        f"a Gaussian process makes most of a trial up to {_PROCESS_DIMENSIONS} dimensions and {_PROCESS_TRIALS} trials",
    ),
    _Rule(
        "cmaes",
        lambda problem: problem.objectives == 1,
        "one objective has more dimensions or trials than a Gaussian process can take",
    ),
    _Rule("nsga2", lambda problem: True, "a front has more dimensions or trials than a Gaussian process can take"),
)


def recommend(problem: Problem) -> Recommendation:
    """The searcher of the first rule that applies, with the reason and the numbers behind it in one line."""
    rule = next(rule for rule in _RULES if rule.applies(problem))
    facts = [
        _count(problem.objectives, "objective"),
        _count(problem.dimension, "dimension"),
        f"{_count(problem.trials, 'trial')} after the baselines",
        "gradients" if problem.differentiable else "no gradients",
    ]
    return Recommendation(rule.searcher, f"{rule.because} ({', '.join(facts)})", rule.options)


def searchers() -> list[str]:
    """Names of all searchers that are ever recommended."""
    return list(dict.fromkeys(rule.searcher for rule in _RULES))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
