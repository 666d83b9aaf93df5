"""Where finished trials are kept: a store of Optuna's, so that its own tools can open it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend

from ..errors import InputError, JournalError
from .record import TrialRecord

log = logging.getLogger(__name__)

Direction = Literal["maximize", "minimize"]


class Store:
    """The finished trials of one run, oldest first; each is appended whole, and never changed afterwards.

    Args:
        storage: an Optuna storage.
        study: name of the run in it.
        directions: `maximize` or `minimize`, one per objective.
        coordinates: name -> lowest and highest value, one per coordinate of the space.
    """

    def __init__(
        self,
        storage: BaseStorage,
        study: str,
        directions: Sequence[Direction],
        coordinates: Mapping[str, Sequence[float]],
    ) -> None:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            opened = optuna.create_study(
                storage=storage, study_name=study, directions=list(directions), load_if_exists=True
            )
        finally:
            optuna.logging.set_verbosity(verbosity)
        self._storage = storage
        self._study = storage.get_study_id_from_name(opened.study_name)
        self._coordinates = coordinates

    def append(self, record: TrialRecord) -> None:
        """Add a finished trial; it is on disk when this returns."""
        trial = record.to_optuna(self._coordinates)
        self._storage.create_new_trial(self._study, template_trial=trial)

    def records(self) -> list[TrialRecord]:
        """All finished trials, oldest first."""
        trials = self._storage.get_all_trials(self._study, deepcopy=False)
        return [TrialRecord.from_optuna(trial, list(self._coordinates)) for trial in trials]


def open_storage(url: str | None, journal: Path) -> BaseStorage:
    """Open the journal file, or the database at `url` (any that SQLAlchemy knows).

    Raises:
        JournalError: the journal is torn before its last line.
        InputError: the database cannot be reached, or its driver is not installed.
    """
    if url is None:
        repair(journal)
        return JournalStorage(JournalFileBackend(str(journal)))
    import sqlalchemy.exc

    try:
        return RDBStorage(url)
    except (ImportError, ValueError) as error:
        raise InputError(
            f"store '{url}' cannot be used ({error}); for PostgreSQL: pip install mergesearch[postgres]"
        ) from error
    except sqlalchemy.exc.SQLAlchemyError as error:
        first_line = str(error).splitlines()[0]
        raise InputError(f"store '{url}' cannot be reached ({first_line}); is the server running?") from error


def repair(journal: Path) -> None:
    """Drop a torn last line, which a kill while writing leaves behind, and say so.

    Raises:
        JournalError: another line than the last is torn: the file was changed by something else.
    """
    if not journal.is_file():
        return
    lines = journal.read_bytes().splitlines(keepends=True)
    torn = [number for number, line in enumerate(lines, start=1) if not _is_whole(line)]
    if not torn:
        return
    if torn[0] < len(lines):
        raise JournalError(
            f"'{journal}' is torn at line {torn[0]} of {len(lines)}, not at its end: it was changed from outside; "
            "restore it from a copy, or start a run of another name"
        )
    log.warning("dropped the torn last line of '%s': that trial will be evaluated again", journal)
    with journal.open("r+b") as file:
        file.truncate(sum(len(line) for line in lines[:-1]))


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
