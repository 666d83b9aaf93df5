"""The course of one task in a race: in which order its samples are visited, and what a part of them says of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...evaluators.estimators.estimator import Estimate, Estimator
from ...evaluators.evaluator import IntArray
from ...evaluators.racing.looks import look_sizes
from ...evaluators.racing.order import visiting_order
from ...evaluators.racing.paired import paired_estimate
from ...evaluators.racing.strata import Strata, strata_of
from ...evaluators.statistics.scores import MetricScores
from ...plugins import check_options, load_plugin
from ...spaces.table import FloatArray
from ..config import RacingConfig


@dataclass(frozen=True)
class Course:
    """One task, the same for all candidates of a run.

    Attributes:
        rows: the samples that the search sees, ascending, `samples`.
        strata: of them, by what the members get right.
        order: positions in `rows`, in the order in which they are visited.
        sizes: how many of them each look sees, ascending; the last one sees all.
        estimators: of each metric, by name.
    """

    rows: IntArray
    strata: Strata
    order: IntArray
    sizes: tuple[int, ...]
    estimators: Mapping[str, Estimator]

    @classmethod
    def laid(
        cls, rows: IntArray, references: Mapping[str, FloatArray], seed: Sequence[int], options: RacingConfig
    ) -> Course:
        """Lay it out.

        Args:
            rows: as above.
            references: full scores of the members, `references x samples`, of each metric that races. The first
                metric makes the strata.
            seed: of the order.
            options: which order, looks and estimator.

        Raises:
            InputError: there is no such estimator.
        """
        strata = strata_of(next(iter(references.values())))
        kind, arguments = estimator_of(options)
        estimators = {metric: kind(strata, scores, **arguments) for metric, scores in references.items()}
        order = visiting_order(strata, options.agreement, seed)
        return cls(rows, strata, order, look_sizes(len(rows), options.first), estimators)

    def positions(self, left: int) -> IntArray:
        """Positions seen by a look that `left` others follow, ascending; the first look's where none is so early."""
        size = self.sizes[max(0, len(self.sizes) - 1 - left)]
        return np.sort(self.order[:size])

    def placed(self, scores: MetricScores, left: int) -> FloatArray:
        """Scores that such a look saw, each in its place, `samples`; NaN where a sample was not visited."""
        values = np.full(len(self.rows), np.nan)
        values[self.positions(left)] = np.nan if scores.samples is None else scores.samples
        return values

    def estimate(self, metric: str, scores: FloatArray, left: int) -> Estimate:
        """Estimate of a candidate's mean from what such a look sees of its scores, `samples` (NaN: not visited)."""
        positions = self.positions(left)
        return self.estimators[metric].estimate(positions, scores[positions])

    def paired(self, scores: FloatArray, incumbents: FloatArray, left: int) -> Estimate:
        """The same from paired differences to the incumbents' scores, `incumbents x samples`."""
        positions = self.positions(left)
        return paired_estimate(self.strata, positions, scores[positions], incumbents)


def estimator_of(options: RacingConfig) -> tuple[type[Estimator], dict[str, Any]]:
    """The kind of estimator that the options name, and its own options.

    Raises:
        InputError: there is none of that name, or it has no such option.
    """
    arguments = dict(options.estimator)
    name = str(arguments.pop("kind", "stratified"))
    room = f"{__name__.rsplit('.', 3)[0]}.evaluators.estimators"
    kind = load_plugin(name, room, Estimator)
    check_options(f"racing.estimator '{name}'", kind, arguments, given=("strata", "references"))
    return kind, arguments
