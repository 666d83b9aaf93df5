"""Ties: what differs is told apart, what does not is not, however many are compared."""

from __future__ import annotations

import numpy as np

from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import Picked, WeightedMean
from mergesearch.runs.outcome.ties import against_winner, ties

OBJECTIVES = Objectives((Objective("a", "acc", True), Objective("b", "acc", True)))
MEAN = WeightedMean(OBJECTIVES, np.array([0.5, 0.5]))


def front(generator: np.random.Generator, *accuracies: tuple[float, float], count: int = 200) -> dict[int, Picked]:
    """Trials by number, which find the same samples hard."""
    ranks = 0.8 * generator.random((2, 1, count)) + 0.2 * generator.random((2, len(accuracies), count))
    right = ranks < np.array(accuracies).T[:, :, None]
    return {n: [MetricScores.mean(task[n].astype(float)) for task in right] for n in range(len(accuracies))}


def test_two_groups_are_told_apart_by_one_objective_alone() -> None:
    scores = front(np.random.default_rng(0), (0.5, 0.7), (0.5, 0.7), (0.5, 0.4), (0.5, 0.4))
    assert ties(scores) == {0: [1], 1: [0], 2: [3], 3: [2]}


def test_equal_trials_are_told_apart_in_one_of_twenty_fronts() -> None:
    """Of fronts whose trials are all alike, at most 5 % show any difference, though each has 66 pairs."""
    generator = np.random.default_rng(1)
    wrong = [any(len(tied) < 11 for tied in ties(front(generator, *[(0.5, 0.5)] * 12)).values()) for _ in range(200)]
    assert np.mean(wrong) < 0.08


def test_few_of_many_differences_are_chance() -> None:
    """Where half of the pairs differ, those wrongly said to are about 5 % of all that are said to."""
    generator = np.random.default_rng(2)
    wrong, said = 0, 0
    for _ in range(60):
        found = ties(front(generator, *[(0.5, 0.7)] * 5, *[(0.5, 0.4)] * 5))
        for number, tied in found.items():
            apart = set(found) - {number} - set(tied)
            said += len(apart)
            wrong += sum((number < 5) == (other < 5) for other in apart)
    assert said > 60 * 45 and wrong / said < 0.06


def test_a_front_of_none_or_one_has_no_ties() -> None:
    assert ties({}) == {}
    assert ties(front(np.random.default_rng(3), (0.5, 0.5))) == {0: []}


def test_against_the_winner_in_the_mean() -> None:
    scores = front(np.random.default_rng(4), (0.5, 0.5), (0.52, 0.49), (0.2, 0.3), (0.75, 0.7))
    assert against_winner(MEAN, 0, scores) == {0: "winner", 1: "tie", 2: "worse", 3: "better"}


def test_each_of_several_objectives_must_differ_more() -> None:
    """Of 200 samples 13 won and 4 lost have p = 0.032, and of two objectives the smaller p-value counts twice."""
    won, lost = np.repeat([1.0, 0.0, 1.0], [13, 4, 183]), np.repeat([0.0, 1.0, 1.0], [13, 4, 183])
    one, other, same = MetricScores.mean(won), MetricScores.mean(lost), MetricScores.mean(won)
    assert ties({0: [one], 1: [other]}) == {0: [], 1: []}
    assert ties({0: [one, same], 1: [other, same]}) == {0: [1], 1: [0]}
