"""The course of one task in a race: in which order its samples are visited, and what a part of them says of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...evaluators.estimators.estimator import Estimate, Estimator
from ...evaluators.evaluator import IntArray
from ...evaluators.racing.order import visiting_order
from ...evaluators.racing.paired import paired_estimate
from ...evaluators.racing.strata import Strata, strata_of
from ...plugins import check_options, load_plugin
from ...spaces.table import FloatArray
from ..config import PAIRED, RacingConfig


@dataclass(frozen=True)
class Course:
    """One task, the same for all candidates of a run.

    Attributes:
        rows: the samples that the search sees, ascending, `samples`.
        strata: of them, by what the members get right.
        order: positions in `rows`, in the order in which they are visited.
        sizes: how many of them each look sees, ascending; the last one sees all.
        estimators: of each metric, by name; none where estimates are paired.
    """

    rows: IntArray
    strata: Strata
    order: IntArray
    sizes: tuple[int, ...]
    estimators: Mapping[str, Estimator]

    @classmethod
    def laid(
        cls,
        rows: IntArray,
        references: Mapping[str, FloatArray],
        sizes: tuple[int, ...],
        seed: Sequence[int],
        options: RacingConfig,
    ) -> Course:
        """Lay it out.

        Args:
            rows: as above.
            references: full scores of the members, `references x samples`, of each metric that races. The first
                metric makes the strata.
            sizes: how many samples each look sees.
            seed: of the order.
            options: which order and estimator.

        Raises:
            InputError: there is no such estimator.
        """
        strata = strata_of(next(iter(references.values())))
        named = estimator_of(options)
        estimators = {
            metric: named[0](strata, scores, **named[1]) for metric, scores in references.items() if named is not None
        }
        order = visiting_order(strata, options.agreement, seed)
        return cls(rows, strata, order, sizes, estimators)

    def positions(self, left: int) -> IntArray:
        """Positions seen by a look that `left` others follow, ascending; the first look's where none is so early."""
        return self._positions[max(0, len(self.sizes) - 1 - left)]

    @cached_property
    def _positions(self) -> list[IntArray]:
        """Positions seen by each look."""
        return [np.sort(self.order[:size]) for size in self.sizes]

    def placed(self, scores: FloatArray, left: int) -> FloatArray:
        """Scores that such a look saw, `visited`, each in its place, `samples`; NaN where a sample was not visited."""
        values = np.full(len(self.rows), np.nan)
        values[self.positions(left)] = scores
        return values

    def estimate(self, metric: str, scores: FloatArray, incumbents: FloatArray, left: int) -> Estimate:
        """Estimate of a candidate's mean over all samples.

        Args:
            metric: that the scores are of.
            scores: what a look that `left` others follow sees of the candidate, `samples`; NaN: not visited.
            incumbents: full scores of others that it is paired with, `incumbents x samples`.
            left: as above.
        """
        positions = self.positions(left)
        if metric in self.estimators:
            return self.estimators[metric].estimate(positions, scores[positions])
        return paired_estimate(self.strata, positions, scores[positions], incumbents)


def estimator_of(options: RacingConfig) -> tuple[type[Estimator], dict[str, Any]] | None:
    """The kind of estimator that the options name, and its own options; None where estimates are paired.

    Raises:
        InputError: there is none of that name, or it has no such option.
    """
    if options.estimator == {"kind": PAIRED}:
        return None
    arguments = dict(options.estimator)
    name = str(arguments.pop("kind", PAIRED))
    room = f"{__name__.rsplit('.', 3)[0]}.evaluators.estimators"
    kind = load_plugin(name, room, Estimator)
    check_options(f"racing.estimator '{name}'", kind, arguments, given=("strata", "references"))
    return kind, arguments
