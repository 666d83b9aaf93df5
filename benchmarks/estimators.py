"""Estimators beside one another: how far a mean over all samples is missed from a part of them, and the error stated.

Four kinds of worlds: right and wrong answers of simulated merges, of two or of four specialists; graded scores of
theirs; and what random merges of the zoo's digit experts truly get right. Samples are visited in the order of a race
(the plain mean sees a random part), and every estimator gets the members' scores, as in a run.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from _digits import ROOT, Digits
from _harness import Outcome, Target, main
from false_stops import answers
from numpy.typing import NDArray

from mergesearch.evaluators.estimators.estimator import Estimator
from mergesearch.evaluators.estimators.item_response import ItemResponse
from mergesearch.evaluators.estimators.mean import Mean
from mergesearch.evaluators.estimators.stratified import Stratified
from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.strata import strata_of
from mergesearch.spaces.table import CoefficientTable

FloatArray = NDArray[np.float64]
World = tuple[FloatArray, FloatArray]  # scores of members and of candidates, each `models x samples`
KINDS: dict[str, type[Estimator]] = {"mean": Mean, "stratified": Stratified, "item_response": ItemResponse}
VISITED, AGREEMENT = (20, 50, 100, 200), 0.2
SHORT, LONG = 0.9, 1.2  # of the root mean square error over the error stated
FIRST_SEED = 5000  # of worlds that no setting was chosen on


def measure(quick: bool) -> Outcome:
    """Estimate every candidate of every world from some of its scores."""
    count = 12 if quick else 60
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    worlds = {
        "2 specialists": [simulated(seed, 2) for seed in seeds],
        "4 specialists": [simulated(seed, 4) for seed in seeds],
        "4 specialists, graded": [graded(seed) for seed in seeds],
        "zoo's digits": list(merged_digits(40)) * (5 if quick else 25),  # each time in another order
    }
    rows = [row(name, some, visited) for name, some in worlds.items() for visited in VISITED]
    ratios = [float(one["item_response: error / stated"]) for one in rows]
    targets = [
        Target("item_response, error over the error stated, largest", max(ratios), LONG),
        Target("item_response, error over the error stated, smallest", min(ratios), SHORT, at_most=False),
    ]
    note = "Root mean square errors over all candidates, in points of the scores' range, and their ratio to the stated."
    return Outcome("Estimators beside one another", rows, targets, note)


def row(name: str, worlds: list[World], visited: int) -> dict[str, Any]:
    """Errors of all estimators from `visited` samples of each candidate."""
    found: dict[str, Any] = {"worlds": name, "visited": visited}
    for kind, estimator in KINDS.items():
        pairs = np.vstack([misses(estimator, world, visited, number) for number, world in enumerate(worlds)])
        error, stated = 100.0 * np.sqrt((pairs**2).mean(axis=0))
        found |= {kind: f"{error:.2f}", f"{kind}: error / stated": f"{error / stated:.2f}"}
    return found


def misses(kind: type[Estimator], world: World, visited: int, seed: int) -> FloatArray:
    """By how much each candidate's mean is missed, and the error stated, `candidates x 2`."""
    members, candidates = world
    strata = strata_of(members)
    order = visiting_order(strata, AGREEMENT, [seed])
    order = np.random.default_rng(seed).permutation(len(order)) if kind is Mean else order
    estimator, seen = kind(strata, members), order[:visited]
    found = [estimator.estimate(seen, one[seen]) for one in candidates]
    truth = candidates.mean(axis=1)
    return np.array([(one.value - true, one.error) for one, true in zip(found, truth, strict=True)])


def simulated(seed: int, tasks: int) -> World:
    """One task of a world of `false_stops`, as its specialists and their merges answer it."""
    members, others, _ = answers(np.random.default_rng([seed, tasks]), tasks)
    return members[:, seed % tasks], others[:, seed % tasks]


def graded(seed: int) -> World:
    """Scores between 0 and 1 of 4 specialists and 30 merges on 500 samples; half of the luck is a model's own."""
    rng = np.random.default_rng([seed, 4])
    steep, hard = np.abs(rng.normal(1, 0.5, (500, 4))), rng.normal(0, 1.5, 500)
    abilities = rng.normal(0, 0.5, (4, 4)) + 1.5 * np.eye(4)
    mixes = rng.dirichlet(np.ones(4), 30) * rng.uniform(0.7, 1.2, (30, 1))
    everyone = np.vstack([abilities, mixes @ abilities])
    luck = rng.logistic(size=500) + rng.logistic(size=(34, 500))
    scores = 1.0 / (1.0 + np.exp(-(everyone @ steep.T - hard + luck / 2.0)))
    return scores[:4], scores[4:]


def merged_digits(count: int) -> Iterator[World]:
    """Each task of the zoo's digits, as its experts and random merges of them answer its search samples."""
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo", "digits")
    digits = Digits(4)
    rng = np.random.default_rng(FIRST_SEED)
    rows = np.vstack([np.eye(4), rng.dirichlet(np.ones(4), count) * rng.uniform(0.5, 2.0, (count, 1))])
    right = np.array([_right(digits, one) for one in rows])
    for task in range(len(digits.tasks)):
        yield right[:4, task], right[4:, task]


def _right(digits: Digits, coefficients: FloatArray) -> list[FloatArray]:
    """Which samples of each task a merge gets right, `tasks x samples`."""
    digits.live.write(CoefficientTable.tied(coefficients, 1))
    scores = digits.evaluator.score(digits.live.model, digits.samples)
    return [np.asarray(scores[task]["accuracy"].samples) for task in digits.tasks]


if __name__ == "__main__":
    main(measure, __doc__ or "")
