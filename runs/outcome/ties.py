"""Ties: which trials cannot be told from one another by their scores, and which not from the winner."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluators.statistics.differences import differences
from ...evaluators.statistics.intervals import CONFIDENCE
from ...evaluators.statistics.scores import FloatArray
from .means import Picked, WeightedMean

WINNER, TIE, BETTER, WORSE = "winner", "tie", "better", "worse"


def ties(scores: Mapping[int, Picked]) -> dict[int, list[int]]:
    """Trial -> the others that it cannot be told from in any objective, from scores on the same samples.

    Two trials differ where their paired difference is significant in one objective at least (the smallest p-value
    times the number of objectives; Bonferroni). Of all pairs that are said to differ, 5 % are expected not to
    (false discovery rate; Benjamini and Hochberg 1995): the more trials there are, the more a difference must be.
    """
    numbers = list(scores)
    tied: dict[int, list[int]] = {number: [] for number in numbers}
    pairs = list(itertools.combinations(numbers, 2))
    if pairs:
        p_values = np.concatenate([_against(scores, numbers[row:]) for row in range(len(numbers) - 1)])
        for (one, other), p_value in zip(pairs, _adjusted(p_values), strict=True):
            if p_value > 1 - CONFIDENCE:
                tied[one].append(other)
                tied[other].append(one)
    return tied


def against_winner(mean: WeightedMean, winner: int, scores: Mapping[int, Picked]) -> dict[int, str]:
    """Trial -> whether its weighted mean ties with the winner's, or is better or worse, by its 95 % interval.

    Each trial is compared at 95 % of its own: whatever else is compared, the trial that truly is the best is among
    those that are not worse in at least 95 % of all runs (where the winner was chosen by other samples), since only
    its own comparison could leave it out.
    """
    found = {}
    for number, picked in scores.items():
        gain = mean.gain(picked, scores[winner])
        verdict = TIE if 0 in gain else BETTER if gain.low > 0 else WORSE
        found[number] = WINNER if number == winner else verdict
    return found


def _against(scores: Mapping[int, Picked], numbers: Sequence[int]) -> FloatArray:
    """Of the first of these trials and each other one the p-value that they are alike in all objectives."""
    first, *others = numbers
    per_objective = [
        differences(ours, [scores[other][row] for other in others]).p_values for row, ours in enumerate(scores[first])
    ]
    return np.asarray(np.minimum(1.0, len(per_objective) * np.min(per_objective, axis=0)), dtype=np.float64)


def _adjusted(p_values: FloatArray) -> FloatArray:
    from scipy.stats import false_discovery_control

    return np.asarray(false_discovery_control(p_values), dtype=np.float64)
