"""What became of trials that were stopped early and scored on at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..record import TrialRecord


@dataclass(frozen=True)
class Confirmed:
    """What is known of a stopped trial that was scored on, in place of its estimates.

    Attributes:
        values: one per objective.
        errors: their standard errors.
        violations: by how much each floor is missed (positive) or met.
        key: of the scores behind them.
        visited: share of the search's samples that they rest on: 1 of a trial that came to its end.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    violations: tuple[float, ...]
    key: str
    visited: float = 1.0

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> Confirmed:
        """Decode what `vars` and JSON made of it."""
        lists = {name: tuple(content[name]) for name in ("values", "errors", "violations")}
        return cls(**lists, key=content["key"], visited=content.get("visited", 1.0))


def with_confirmed(records: Sequence[TrialRecord], confirmed: Mapping[int, Confirmed]) -> list[TrialRecord]:
    """The records, with the new scores of those that were scored on."""
    return [
        replace(record, **vars(confirmed[record.number])) if record.number in confirmed else record
        for record in records
    ]
