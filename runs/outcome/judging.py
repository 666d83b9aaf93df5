"""What the front is judged by: 95 % intervals of its scores, and ties, as columns of the table of trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...evaluators.statistics.intervals import score_interval
from ..plan import Plan
from ..record import TrialRecord
from ..score_files import ScoreFiles
from .means import Picked, WeightedMean
from .ties import against_winner, ties

AGAINST, TIED = "against winner", "tied with"


@dataclass(frozen=True)
class Judged:
    """Trials with scores on the same samples, by which they may be compared.

    Attributes:
        mean: of the objectives.
        front: the trials of the front, best first.
        winner: the trial that wins; None where none does.
        scores: trial number -> held-out scores; where nothing was held out, search scores of front and baselines,
            which are too hopeful of the front, for they chose it.
    """

    mean: WeightedMean
    front: Sequence[int]
    winner: int | None
    scores: Mapping[int, Picked]

    def add_to(self, table: pd.DataFrame) -> None:
        """Add `<objective> low` and `high`, those of `mean`, `against winner` and `tied with` to a table of trials."""
        each = {number: [*map(score_interval, one), self.mean.of(one)] for number, one in self.scores.items()}
        for column, name in enumerate([*self.mean.objectives.names, "mean"]):
            ends = [(each[n][column].low, each[n][column].high) if n in each else [np.nan] * 2 for n in table["trial"]]
            table[f"{name} low"], table[f"{name} high"] = np.array(ends).T
        verdicts = {}
        if self.winner is not None and self.winner in self.scores:
            verdicts = against_winner(self.mean, self.winner, self.scores)
        tied = ties({number: self.scores[number] for number in self.front if number in self.scores})
        table.insert(4, AGAINST, [verdicts.get(number, "") for number in table["trial"]])
        table.insert(5, TIED, [" ".join(map(str, tied.get(number, ()))) for number in table["trial"]])


def judged_scores(
    plan: Plan, records: Sequence[TrialRecord], keys: Mapping[int, str], files: ScoreFiles, front: Sequence[int]
) -> dict[int, Picked]:
    """Scores by which trials may be compared, as far as they are kept; see `Judged.scores`.

    Args:
        plan: the run's.
        records: all finished trials.
        keys: trial number -> key of its held-out scores; may be empty.
        files: where scores are kept.
        front: the trials on it.
    """
    if not keys:
        baselines = [record.number for record in records if record.whole and record.proposal.origin in plan.baselines]
        keys = {number: records[number].key for number in dict.fromkeys([*front, *baselines])}
    loaded = {number: files.load(key) for number, key in keys.items()}
    return {number: plan.objectives.pick(scores) for number, scores in loaded.items() if scores is not None}
