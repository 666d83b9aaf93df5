"""The methods that benchmarks/map.py compares, and what one run of each finds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _digits import Digits, FloatArray
from _regret import Scale, preferences, utilities

from mergesearch.search.bayesian_map import BayesianMap
from mergesearch.search.history import History
from mergesearch.search.map import Map
from mergesearch.search.nested_map import NestedMap
from mergesearch.search.nsga2 import Nsga2
from mergesearch.search.random import Random
from mergesearch.search.searcher import Searcher
from mergesearch.search.sobol import Sobol
from mergesearch.spaces.box import Box
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

PREFERENCES = 7  # their seed; methods were tuned on others, on experts of another seed and on other samples
NESTED = 5  # preferences that nested MAP is given, which it must search for one by one
_SHELL = (0.0, 2.0)


def plain(members: int) -> int:
    """Evaluations of MAP as published, twice the parameters of a quadratic."""
    return (members + 1) * (members + 2)


def budgets(members: int) -> tuple[int, ...]:
    """Evaluations at which methods are compared, canonical points included."""
    return members + 3, 2 * members + 4, plain(members)


@dataclass(frozen=True)
class Method:
    """One way to search.

    Attributes:
        name: for the table.
        build: the searcher, from the run's seed and the budget.
        budgets: which of `budgets` it is given; each run is the beginning of the next.
        gradients: whether evaluations yield them.
    """

    name: str
    build: Callable[[int, int], Searcher]
    budgets: Sequence[int] = (2,)
    gradients: bool = False


METHODS = (
    Method("gradient MAP", lambda seed, _: Map(seed), (0, 1), gradients=True),
    Method("gradient Bayesian MAP", lambda seed, _: BayesianMap(seed), (1,), gradients=True),
    Method("one-shot MAP", lambda seed, budget: Map(seed, design=budget)),
    Method("MAP, half re-evaluated", lambda seed, budget: Map(seed, design=budget // 2)),
    Method("Bayesian MAP, hypervolume", lambda seed, _: BayesianMap(seed)),
    Method("Bayesian MAP, uncertainty", lambda seed, _: BayesianMap(seed, acquisition="uncertainty")),
    Method("random", lambda seed, _: Random(seed), (0, 1, 2)),
    Method("Sobol", lambda seed, _: Sobol(seed), (0, 1, 2)),
    Method("NSGA-II", lambda seed, _: Nsga2(seed), (0, 1, 2)),
)


@dataclass(frozen=True)
class Found:
    """What one run came to.

    Attributes:
        method: its name.
        seed: of the run.
        evaluations: merges scored before it answered.
        answers: loss of its answer to each preference, both kinds one after the other, `2·preferences`.
        evaluated: loss of the best merge evaluated, likewise.
        losses: scaled losses of the distinct answers, `points x objectives`.
        searching: seconds spent on proposals and the front.
        evaluating: seconds spent on evaluations.
    """

    method: str
    seed: int
    evaluations: int
    answers: FloatArray
    evaluated: FloatArray
    losses: FloatArray
    searching: float
    evaluating: float


class Judge:
    """Scores what is answered to preferences."""

    def __init__(self, problem: Digits) -> None:
        members = problem.members
        self.problem = problem
        self.scale = Scale(problem.losses(np.zeros((1, members)))[0], problem.losses(np.eye(members)).min(axis=0))
        self.weights = preferences(members, PREFERENCES)
        rows = json.loads((Path(__file__).parent / "map_reference.json").read_text(encoding="utf-8"))[str(members)]
        self.reference = self.scale(problem.losses(np.array(rows)))

    def utilities(self, scaled: FloatArray) -> FloatArray:
        """Loss to each preference, linear and then Chebyshev, `points x 2·preferences`; smaller is better."""
        return np.hstack(list(utilities(scaled, self.weights).values()))

    def answers(self, rows: FloatArray, expected: FloatArray) -> tuple[FloatArray, FloatArray]:
        """True losses to the preferences, and scaled losses, of the rows that they pick by expected losses."""
        picks = self.utilities(self.scale(expected)).argmin(axis=0)
        distinct, place = np.unique(picks, return_inverse=True)
        scaled = self.scale(self.problem.losses(rows[distinct]))
        return self.utilities(scaled)[place, np.arange(len(picks))], scaled


def searched(problem: Digits, judge: Judge, method: Method, seed: int) -> Iterator[Found]:
    """Run a method through its budgets."""
    # MAP samples a shell of its space; the others are given just that shell as theirs.
    members = problem.members
    is_map = method.name.endswith("MAP") or "MAP," in method.name
    space: Space = Box(members) if is_map else Scaled(Simplex(members), *_SHELL)
    x, searching = _canonical(space), 0.0
    for budget in (budgets(members)[place] for place in method.budgets):
        searcher, clock, evaluating = method.build(seed, budget), time.perf_counter(), 0.0
        while len(x) < budget:
            history, seconds = _history(problem, space, x, method.gradients)
            evaluating += seconds
            proposed = searcher.ask(history)
            if proposed is None:
                break
            x = np.vstack([x, proposed])
        history, seconds = _history(problem, space, x, method.gradients)
        evaluating += seconds
        rows, expected = _known(searcher, history)
        searching += time.perf_counter() - clock - evaluating
        answers, losses = judge.answers(rows, expected)
        best = judge.utilities(judge.scale(history.losses)).min(axis=0)
        costs = sum(problem.evaluate(space.table(one).members[0], method.gradients).seconds for one in x)
        yield Found(method.name, seed, len(x), answers, best, losses, searching, costs)


def nested(problem: Digits, judge: Judge, seed: int, gradients: bool) -> Found:
    """Nested MAP for the first preferences, by Chebyshev distance; answers to other preferences are NaN."""
    space = Box(problem.members)
    wanted = judge.weights[:NESTED]
    searcher = NestedMap(seed, preferences=wanted.tolist(), balanced=True)
    x, clock, evaluating = _canonical(space), time.perf_counter(), 0.0
    while True:
        history, seconds = _history(problem, space, x, gradients)
        evaluating += seconds
        proposed = searcher.ask(history)
        if proposed is None:
            break
        x = np.vstack([x, proposed])
    searching = time.perf_counter() - clock - evaluating
    losses = judge.scale(problem.losses(np.array(searcher.answers(history))))
    answers, best = np.full((2, 2 * len(judge.weights)), np.nan)
    places = len(judge.weights) + np.arange(NESTED)
    answers[places] = judge.utilities(losses)[np.arange(NESTED), places]
    best[places] = judge.utilities(judge.scale(history.losses)).min(axis=0)[places]
    costs = sum(problem.evaluate(one, gradients).seconds for one in x)
    name = f"nested MAP, {NESTED} preferences{', gradients' if gradients else ''}"
    return Found(name, seed, len(x), answers, best, losses, searching, costs)


def _known(searcher: Searcher, history: History) -> tuple[FloatArray, FloatArray]:
    """Rows that a method may answer with, and what it expects of their losses."""
    space = history.space
    if isinstance(searcher, Map):
        front = searcher.front(history)
        return np.array([space.table(one).members[0] for one in front.x]), front.losses
    return np.array([space.table(one).members[0] for one in history.x]), history.losses


def _canonical(space: Space) -> FloatArray:
    members = space.members
    subsets = [(), *((index,) for index in range(members)), tuple(range(members))]
    found = [space.vector(soup(subset, 1, members)) for subset in subsets]
    return np.array([x for x in found if x is not None])


def _history(problem: Digits, space: Space, x: FloatArray, gradients: bool) -> tuple[History, float]:
    clock = time.perf_counter()
    return problem.history(space, x, gradients), time.perf_counter() - clock
