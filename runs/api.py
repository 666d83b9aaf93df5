"""Runs from Python: start or resume one, look at its front, pick a trial, export it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from ..errors import InputError, JournalError
from .config import Config, load_config
from .driver import Driver, Observer, Silent
from .folder import RunFolder
from .outcome.choosing import pick_trial
from .outcome.results import Results, conclude
from .plan import Plan
from .proposals import mean_weights
from .publishing import publish
from .racing.confirmed import with_confirmed
from .record import TrialRecord
from .report.report import write_report
from .report.tables import front_numbers, front_table, trials_table
from .score_files import ScoreFiles
from .session import open_session
from .store import Store, open_storage, repair


class Run:
    """A run as it stands on disk; reading it opens no model.

    Args:
        folder: a run folder.

    Raises:
        InputError: it is no run folder.
        JournalError: its journal is torn.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = RunFolder.existing(folder)
        self.config: Config = load_config(self.folder.config)
        self.plan = Plan.read(self.folder)
        finished = _store(self.config, self.folder, self.plan).records()
        self.results = Results.read(self.folder)
        _check_present(self.folder, finished, self.results)
        self.records: list[TrialRecord] = with_confirmed(finished, self.results.confirmed if self.results else {})

    @cached_property
    def trials(self) -> pd.DataFrame:
        """All finished trials; see `tables.trials_table` for the columns."""
        return trials_table(self.plan, self.records, self.results, ScoreFiles(self.folder.scores))

    @property
    def front(self) -> pd.DataFrame:
        """The non-dominated trials that keep all floors, best searched mean first."""
        return front_table(self.trials, front_numbers(self.plan, self.records, self.results))

    @property
    def state(self) -> str:
        """Whether the run is under way, was stopped, or has ended, in a few words."""
        if self.folder.busy():
            return "running"
        if self.results is None or self.results.trials < len(self.records):
            return "stopped; resume it with: mergesearch run"
        left = len(self.records) < self.config.budget.trials and self.config.budget.time is None
        return "ended; the searcher has nothing more to propose" if left else "ended"

    @property
    def verdict(self) -> str:
        """Whether the winner beats the soups and the best member beyond noise, in one sentence."""
        return self.results.verdict_among(len(self.records)) if self.results else "The run has not ended yet."

    def pick(
        self, weights: Sequence[float] | Mapping[str, float] | None = None, floors: Mapping[str, float] | None = None
    ) -> int:
        """Number of the best trial by weighted mean of the search scores, among those that keep all floors.

        Where neither weights nor floors are given and fresh samples were kept, these decided: the winner is picked.

        Args:
            weights: one per objective, in order, or by name; the configuration's where left out.
            floors: objective -> value to keep, instead of the configuration's.

        Raises:
            InputError: unknown names, unusable weights, or no trial that keeps the floors.
        """
        judged = self.results if self.results and self.results.trials == len(self.records) else None
        if weights is None and floors is None and judged and judged.chosen.elite and judged.chosen.winner is not None:
            return judged.chosen.winner
        if weights is None:
            weights = mean_weights(self.plan.objectives, self.records, self.plan.baselines).tolist()
        return pick_trial(self.plan.objectives, self.records, weights, floors)

    def export(self, destination: str | Path, trial: int | None = None) -> Path:
        """Write a trial's model (the picked one where left out) to a new folder; see `publishing.publish`.

        Raises:
            InputError: no such trial, it failed, the members have changed, or the folder is not empty.
        """
        number = self.pick() if trial is None else trial
        if not 0 <= number < len(self.records):
            raise InputError(f"there is no trial {number}; the run has trials 0 to {len(self.records) - 1}")
        return publish(self.config, self.plan, self.records[number], Path(destination))

    def write_tables(self) -> None:
        """Write trials and front as CSV, and the report as HTML, into the run folder."""
        self.trials.to_csv(self.folder.trials, index=False)
        self.front.to_csv(self.folder.front, index=False)
        write_report(self.folder.report, self.config.name, self.plan, self.trials, self.results)


def run(config: Config | str | Path, observer: Observer | None = None) -> Run:
    """Start a run, or resume it where it stopped; a run whose budget is spent is only read.

    Args:
        config: a configuration, or the path of one in YAML.
        observer: draws progress; nothing is drawn where left out.

    Raises:
        InputError: the configuration cannot be used; nothing was evaluated.
        JournalError: the run folder belongs to another configuration, or is torn.
        KeyboardInterrupt: Ctrl-C; tables and report are written first.
    """
    config = config if isinstance(config, Config) else load_config(config)
    observer = observer or Silent()
    session = open_session(config)
    folder = session.folder
    with folder.locked():
        folder.check(config)  # again: another process may have started it meanwhile
        plan = session.plan().settled(folder)
        repair(folder.journal)
        plan.write(folder)
        folder.freeze(config)
        with _tables_afterwards(folder):
            store = _store(config, folder, plan)
            finished = store.records()
            _check_present(folder, finished, Results.read(folder))
            records = Driver(session, store, observer).run(finished)
            conclude(session, records, observer).write(folder)
    return Run(folder.path)


@contextlib.contextmanager
def _tables_afterwards(folder: RunFolder) -> Iterator[None]:
    """Write the tables at the end, and at Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        Run(folder.path).write_tables()
        raise
    Run(folder.path).write_tables()


def _check_present(folder: RunFolder, records: Sequence[TrialRecord], results: Results | None) -> None:
    if results is not None and len(records) < results.trials:
        raise JournalError(
            f"'{folder.path}' ended with {results.trials} trials, but its store has {len(records)}: it was lost or "
            "replaced; restore it, or start a run of another name"
        )


def _store(config: Config, folder: RunFolder, plan: Plan) -> Store:
    storage = open_storage(config.store, folder.journal)
    directions = [objective.direction for objective in plan.objectives.each]
    return Store(storage, plan.study, directions, plan.coordinates)
