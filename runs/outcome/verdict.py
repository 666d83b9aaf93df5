"""The verdict: is the winner better than the soups and the best member on held-out samples, beyond noise?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...evaluators.statistics.intervals import Interval
from .means import Picked, WeightedMean
from .shortlist import Shortlist


@dataclass(frozen=True)
class Comparison:
    """The winner against one rival on held-out samples.

    Each has a confidence of 95 % of its own: that the winner is better than all of its rivals is then claimed wrongly
    in at most 5 % of all runs, since one of the claims must be wrong for it.

    Attributes:
        rival: what it is compared with.
        gain: weighted mean gain, positive where the winner is better; paired per sample.
    """

    rival: str
    gain: Interval

    @property
    def verdict(self) -> str:
        """`better`, `worse`, or `no different` where 0 lies in the interval."""
        if 0 in self.gain:
            return "no different"
        return "better" if self.gain.low > 0 else "worse"

    def __str__(self) -> str:
        return f"{self.rival} ({self.gain.value:+.4f} [{self.gain.low:+.4f}, {self.gain.high:+.4f}])"


def compare(mean: WeightedMean, chosen: Shortlist, held_out: Mapping[int, Picked]) -> list[Comparison]:
    """Compare the winner with each rival that is another trial, on held-out scores by trial number."""
    if chosen.winner is None or chosen.winner not in held_out:
        return []
    ours = held_out[chosen.winner]
    return [
        Comparison(rival, mean.gain(ours, held_out[number]))
        for rival, number in chosen.rivals.items()
        if number in held_out and number != chosen.winner
    ]


def sentence(chosen: Shortlist, comparisons: Sequence[Comparison]) -> str:
    """The verdict in one sentence."""
    if chosen.winner is None:
        if chosen.nearest is None:
            return "No trial could be scored, so there is nothing to choose from."
        return f"No trial keeps all floors; trial {chosen.nearest} comes nearest."
    same = [rival for rival, number in chosen.rivals.items() if number == chosen.winner]
    if same:
        return f"The search found nothing better than the {' and the '.join(same)} (trial {chosen.winner}), which wins."
    if not comparisons:
        missing = "nothing was held out" if chosen.rivals else "the run has neither soup nor member"
        return f"Trial {chosen.winner} wins on search samples; {missing} to compare it with."
    return f"On held-out samples trial {chosen.winner} is {_against(comparisons)}."


def _against(comparisons: Sequence[Comparison]) -> str:
    """What the winner is better than, within noise of, and worse than."""
    words = {"better": "better than", "no different": "within noise of", "worse": "worse than"}
    rivals = {verdict: [str(one) for one in comparisons if one.verdict == verdict] for verdict in words}
    parts = [f"{words[verdict]} {_join(names)}" for verdict, names in rivals.items() if names]
    proven = len(rivals["better"]) == len(comparisons)
    tail = "" if proven else "; it is not proven better than all of them"
    return f"{' and '.join(parts)} (weighted mean gain, 95 % interval){tail}"


def _join(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
