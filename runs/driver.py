"""The loop: propose, evaluate, append; until the budget is spent, nothing is left to try, or Ctrl-C."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ..errors import InputError, TrialError
from .guides import Guidance
from .outcome.separation import warn_before_search
from .plan import Plan
from .record import Proposal, TrialRecord
from .session import Session
from .store import Store

log = logging.getLogger(__name__)

_HOPELESS = 5  # trials that fail alike at the very beginning, before the run is stopped


class Observer(Protocol):
    """Watches a run, to draw its progress."""

    def placed(self, place: str) -> None:
        """Called once, with a line that tells where base and deltas lie."""

    def started(self, plan: Plan, records: Sequence[TrialRecord]) -> None:
        """Called once, with the trials that were finished before."""

    def trial(self, records: Sequence[TrialRecord]) -> None:
        """Called after each trial, with all finished trials."""

    def confirmed(self, done: int) -> None:
        """Called at the end, while trials that were stopped early are scored in full."""

    def held_out(self, done: int, total: int) -> None:
        """Called while shortlisted trials are re-scored on held-out samples."""


class Silent:
    """An observer that draws nothing."""

    def placed(self, place: str) -> None:
        """Draw nothing."""

    def started(self, plan: Plan, records: Sequence[TrialRecord]) -> None:
        """Draw nothing."""

    def trial(self, records: Sequence[TrialRecord]) -> None:
        """Draw nothing."""

    def confirmed(self, done: int) -> None:
        """Draw nothing."""

    def held_out(self, done: int, total: int) -> None:
        """Draw nothing."""


class Driver:
    """Runs the search of a session, one trial after another."""

    def __init__(self, session: Session, store: Store, observer: Observer) -> None:
        self._session = session
        self._store = store
        self._observer = observer

    def run(self, finished: Sequence[TrialRecord]) -> list[TrialRecord]:
        """Go on from the trials that are finished, as the store has them; returns all finished trials at the end.

        The end is a spent budget, or nothing left to try. Every finished trial is in the store when the next one
        starts. `KeyboardInterrupt` passes through: the evaluation in flight is lost, and nothing else.

        Raises:
            InputError: the disk is full, or not one trial could be scored.
        """
        records = list(finished)
        self._observer.placed(self._session.models.place)
        self._observer.started(self._session.plan(), records)
        while not self._spent(records):
            clock = time.perf_counter()
            proposal = self._session.proposals.next(records)
            if proposal is None:
                break
            warn_before_search(self._session, records, proposal)
            record = self._evaluate(records, proposal, clock)
            self._store.append(record)
            records.append(record)
            self._observer.trial(records)
            _refuse_hopeless(records)
        if records and not any(record.complete for record in records):
            raise InputError(f"all {len(records)} trials failed, the first one with: {records[0].reason}")
        return records

    def _spent(self, records: Sequence[TrialRecord]) -> bool:
        budget = self._session.config.budget
        out_of_time = budget.time is not None and sum(record.seconds for record in records) >= budget.time
        return len(records) >= budget.trials or out_of_time

    def _evaluate(self, records: Sequence[TrialRecord], proposal: Proposal, clock: float) -> TrialRecord:
        """Score one candidate, whose trial began at `clock`; where that fails, the run goes on."""
        number, started = len(records), datetime.now()
        try:
            found = self._session.race.evaluate(proposal, records)
        except TrialError as error:
            log.warning("trial %d (%s) failed: %s", number, proposal.origin, error)
            return TrialRecord(number, proposal, None, (), (), "", str(error), started, time.perf_counter() - clock)
        guidance = None if found.values is None else self._guidance(number, proposal)
        violations = () if found.values is None else self._session.proposals.objectives.violations(found.values)
        return TrialRecord(
            number=number,
            proposal=proposal,
            values=found.values,
            errors=found.errors,
            violations=violations,
            key=found.key,
            reason=found.reason,
            started=started,
            seconds=time.perf_counter() - clock,
            guidance=guidance,
            visited=found.visited,
        )

    def _guidance(self, number: int, proposal: Proposal) -> Guidance | None:
        """What a searcher of gradients wants to know of a scored candidate; the trial stands without it, too."""
        session = self._session
        if session.proposals.guides is None:
            return None
        try:
            return session.bench.guide(proposal, session.proposals.guides, session.search_samples)
        except TrialError as error:
            log.warning("trial %d (%s) has scores, but no gradient: %s", number, proposal.origin, error)
            return None


def _refuse_hopeless(records: Sequence[TrialRecord]) -> None:
    """Stop a run whose first trials all failed alike: base and members cannot all be bad candidates."""
    if len(records) == _HOPELESS and len({record.reason for record in records}) == 1 and not records[0].complete:
        raise InputError(
            f"the first {_HOPELESS} trials all failed with: {records[0].reason}; mend that and run again, "
            "which goes on with the next trial"
        )
