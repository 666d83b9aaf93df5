"""Racing for one objective, or one mean of several: a candidate stops once it has fallen behind the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...evaluators.estimators.estimator import Estimate
from ...evaluators.racing.halving import falls_behind
from ...spaces.table import FloatArray
from ..record import Proposal, TrialRecord
from .track import EachScores, Track, nearest


@dataclass(frozen=True)
class AmongRivals:
    """Successive halving: at each look a candidate stops where it is not among the best that came as far.

    All are judged by what the same look told of them, paired with trials of similar coefficients that were whole by
    then. Rivals that break a floor are behind everyone.

    Attributes:
        track: of the race.
        scale: what turns the objectives' values into the loss, `1 x objectives`.
        keep: share of the candidates that goes on.
        records: finished trials.
        proposal: the candidate.
    """

    track: Track
    scale: FloatArray
    keep: float
    records: Sequence[TrialRecord]
    proposal: Proposal

    def estimates(self, scores: EachScores, left: int) -> list[Estimate]:
        """What the candidate's full scores come to, as far as a look tells."""
        return self.track.estimates(scores, self._incumbents, left)

    def stops(self, scores: EachScores, left: int) -> bool:
        """Whether the candidate, with these scores, stops at a look that `left` others would follow."""
        rivals = [self._rival(record, left) for record in self.records if self.track.reached(record, left)]
        return falls_behind(self._loss(self.estimates(scores, left)), np.array(rivals), self.keep)

    @cached_property
    def _incumbents(self) -> list[EachScores]:
        return nearest(self.track, self.proposal, [record for record in self.records if record.whole])

    def _rival(self, record: TrialRecord, left: int) -> float:
        """Loss of a finished trial as a look told it."""
        if not record.keeps_floors:
            return np.inf
        return self._loss(self.track.looked_at(record, left, self.records))

    def _loss(self, estimates: Sequence[Estimate]) -> float:
        return float(self.scale[0] @ [one.value for one in estimates])
