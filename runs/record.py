"""One finished trial, and its form in the journal: a frozen Optuna trial, written whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from ..spaces.table import CoefficientTable, FloatArray
from .guides import Guidance


@dataclass(frozen=True, eq=False)
class Proposal:
    """A candidate to evaluate.

    Attributes:
        table: its coefficients, `groups x members`.
        origin: what proposed it: a canonical point's name, the greedy pass, or the searcher's name.
        x: its vector, `dimension`; None where the candidate lies outside the space.
        member: number of the member that it is as it stands on disk; None for a table.
    """

    table: CoefficientTable
    origin: str
    x: FloatArray | None = None
    member: int | None = None

    def __eq__(self, other: object) -> bool:
        """Equal candidates of equal origin; vectors are compared number by number."""
        if not isinstance(other, Proposal):
            return NotImplemented
        same_x = (self.x is None) == (other.x is None) and (
            self.x is None or other.x is None or np.array_equal(self.x, other.x)
        )
        return same_x and (self.table, self.origin, self.member) == (other.table, other.origin, other.member)

    def __hash__(self) -> int:
        """Hash of what `==` compares, but for x, which follows from the table."""
        return hash((self.table, self.origin, self.member))


@dataclass(frozen=True)
class TrialRecord:
    """A proposal and what became of it.

    Attributes:
        number: position in the run, from 0.
        proposal: the candidate.
        values: one per objective, in the objective's own unit; None for a failed trial.
        errors: their standard errors.
        violations: by how much each floor is missed (positive) or met.
        key: of its per-sample scores; empty for a failed trial.
        reason: why it failed; None for a completed one.
        started: when, local time.
        seconds: how long it took.
        guidance: differentiable losses and their slopes; None where the searcher wants none, or there are none.
        visited: share of the search's samples that it was scored on: 1 for all of them; below 1 it was stopped early,
            and its values are estimates.
    """

    number: int
    proposal: Proposal
    values: tuple[float, ...] | None
    errors: tuple[float, ...]
    violations: tuple[float, ...]
    key: str
    reason: str | None
    started: datetime
    seconds: float
    guidance: Guidance | None = None
    visited: float = 1.0

    @property
    def complete(self) -> bool:
        """Whether it has scores."""
        return self.values is not None

    @property
    def screened(self) -> bool:
        """Whether a screen stopped it before it had scores."""
        return self.visited == 0

    @property
    def keeps_floors(self) -> bool:
        """Whether no floor is missed, as far as its values tell."""
        return self.complete and all(violation <= 0 for violation in self.violations)

    @property
    def whole(self) -> bool:
        """Whether it has scores on all samples, so that it may be chosen."""
        return self.complete and self.visited == 1

    def to_optuna(self, coordinates: Mapping[str, Sequence[float]]) -> FrozenTrial:
        """Encode with one float parameter per coordinate of the space (name -> lowest and highest value)."""
        x = {} if self.proposal.x is None else dict(zip(coordinates, self.proposal.x.tolist(), strict=True))
        trial = create_trial(
            state=self._state(),
            values=None if self.values is None else list(self.values),
            params=x,
            distributions={name: FloatDistribution(coordinates[name][0], coordinates[name][1]) for name in x},
            user_attrs=self._attributes(),
            system_attrs={"constraints": list(self.violations)} if self.complete else {},
        )
        trial.datetime_start = self.started
        trial.datetime_complete = self.started + timedelta(seconds=self.seconds)
        return trial

    def _state(self) -> TrialState:
        """Optuna's word for it."""
        if not self.complete:
            return TrialState.FAIL
        return TrialState.COMPLETE if self.whole else TrialState.PRUNED

    def _attributes(self) -> dict[str, Any]:
        table = self.proposal.table
        scaled = {} if (table.base == 1).all() else {"base": table.base.tolist()}
        guided = {} if self.guidance is None else {"guidance": self.guidance.to_plain()}
        return {
            "origin": self.proposal.origin,
            "table": table.members.tolist(),
            "member": self.proposal.member,
            "inside": self.proposal.x is not None,
            "errors": list(self.errors),
            "violations": list(self.violations),
            "key": self.key,
            "reason": self.reason,
            **scaled,
            **guided,
            **({} if self.visited == 1 else {"visited": self.visited}),
        }

    @classmethod
    def from_optuna(cls, trial: FrozenTrial, names: Sequence[str]) -> TrialRecord:
        """Decode what `to_optuna` made."""
        attributes: Mapping[str, Any] = trial.user_attrs
        members = np.asarray(attributes["table"], dtype=np.float64)
        base = np.asarray(attributes.get("base", np.ones(len(members))), dtype=np.float64)
        x = np.array([trial.params[name] for name in names], dtype=np.float64) if attributes["inside"] else None
        started = trial.datetime_start or datetime.now()
        return cls(
            number=trial.number,
            proposal=Proposal(CoefficientTable(members, base), attributes["origin"], x, attributes["member"]),
            values=None if trial.state == TrialState.FAIL else tuple(trial.values),
            errors=tuple(attributes["errors"]),
            violations=tuple(attributes["violations"]),
            key=attributes["key"],
            reason=attributes["reason"],
            started=started,
            seconds=((trial.datetime_complete or started) - started).total_seconds(),
            guidance=Guidance.from_plain(attributes["guidance"]) if "guidance" in attributes else None,
            visited=attributes.get("visited", 1.0),
        )
