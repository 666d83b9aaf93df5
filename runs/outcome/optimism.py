"""The winner's curse, measured: what search scores promised beyond the held-out scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...evaluators.statistics.combined import combined
from ...evaluators.statistics.intervals import Interval, weighted_sum
from .means import Picked, WeightedMean
from .shortlist import Shortlist


@dataclass(frozen=True)
class Promises:
    """Trials that were scored twice, on samples that share none.

    Attributes:
        mean: what they are compared by.
        searched: trial number -> scores of the samples that the search saw.
        held_out: trial number -> scores of those that it did not see.
    """

    mean: WeightedMean
    searched: Mapping[int, Picked]
    held_out: Mapping[int, Picked]

    def optimism(self, chosen: Shortlist, baselines: Sequence[int]) -> str:
        """By how much the search scores are better than the held-out ones, in a sentence or two.

        Of the winner, which the search scores chose, with a 95 % interval; of the front on average; and of the winner
        beside the `baselines`, which no score chose: where the held-out samples are harder for all, that is no curse.
        Nothing where there is no winner, or nothing was held out.
        """
        winner = chosen.winner
        if winner is None or not self._twice([winner]):
            return ""
        gap = _told(self.gap(winner))
        text = f"The winner's curse: on search samples trial {winner}'s mean is {gap} than on held-out ones"
        front = self._twice(chosen.front)
        if len(front) > 1:
            gain = float(np.mean([self.gap(number).value for number in front]))
            text += f", and that of the front's {len(front)} trials {abs(gain):.4f} {_side(gain)} on average"
        others = [number for number in self._twice(baselines) if number != winner]
        if others:
            gap = _told(self.gap_beside(winner, others))
            text += f". Its gain over the average of the {len(others)} baselines, which no score chose, is {gap} there"
        return f"{text}."

    def gap(self, number: int) -> Interval:
        """A trial's mean on search samples less that on held-out ones; positive where it is better there."""
        means = [self.mean.of(scored[number], subtracted=True) for scored in (self.searched, self.held_out)]
        sign = -self.mean.objectives.mean_sign
        return weighted_sum((sign, -sign), means)

    def gap_beside(self, number: int, others: Sequence[int]) -> Interval:
        """The same of a trial's gain over the average of others, paired per sample."""
        gains = [self.mean.gain(scored[number], _average(scored, others)) for scored in (self.searched, self.held_out)]
        return weighted_sum((1, -1), gains)

    def _twice(self, numbers: Sequence[int]) -> list[int]:
        return [number for number in numbers if number in self.searched and number in self.held_out]


def _average(scored: Mapping[int, Picked], numbers: Sequence[int]) -> Picked:
    """Scores of a candidate that would be the average of these, sample by sample."""
    shares = [1 / len(numbers)] * len(numbers)
    return [combined(shares, each) for each in zip(*(scored[number] for number in numbers), strict=True)]


def _told(gap: Interval) -> str:
    shown = gap if gap.value > 0 else weighted_sum([-1], [gap])
    noise = "within noise" if 0 in gap else "beyond noise"
    return f"{shown.value:.4f} {_side(gap.value)} (95 % interval {shown.low:.4f} to {shown.high:.4f}, {noise})"


def _side(gap: float) -> str:
    return "better" if gap > 0 else "worse"
