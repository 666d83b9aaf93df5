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
from optuna.study import StudyDirection

from ..errors import InputError, JournalError
from .record import TrialRecord

log = logging.getLogger(__name__)

Direction = Literal["maximize", "minimize"]


class Store:
    """The finished trials of one run, oldest first; each is appended whole, and never changed afterwards.

    Args:
        storage: an Optuna storage; nothing is written to it before the first `append`.
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
        self._storage = storage
        self._name = study
        self._directions = [StudyDirection[direction.upper()] for direction in directions]
        self._coordinates = coordinates

    def append(self, record: TrialRecord) -> None:
        """Add a finished trial; it is on disk when this returns."""
        study = self._study()
        if study is None:
            study = _create(self._storage, self._directions, self._name)
        self._storage.create_new_trial(study, template_trial=record.to_optuna(self._coordinates))

    def records(self) -> list[TrialRecord]:
        """All finished trials, oldest first."""
        study = self._study()
        if study is None:
            return []
        trials = self._storage.get_all_trials(study, deepcopy=False)
        return [TrialRecord.from_optuna(trial, list(self._coordinates)) for trial in trials]

    def _study(self) -> int | None:
        """The run's number in the storage; None before its first trial."""
        try:
            return self._storage.get_study_id_from_name(self._name)
        except KeyError:
            return None


def _create(storage: BaseStorage, directions: Sequence[StudyDirection], name: str) -> int:
    """Create the run in the storage, without Optuna's announcement."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        return storage.create_new_study(directions, name)
    finally:
        optuna.logging.set_verbosity(verbosity)


def open_storage(url: str | None, journal: Path) -> BaseStorage:
    """Open the journal file, or the database at `url` (any that SQLAlchemy knows).

    Raises:
        JournalError: the journal is torn before its last line.
        InputError: the database cannot be reached, or its driver is not installed.
    """
    if url is None:
        _torn_end(journal)
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
        raise InputError(
            f"store '{url}' cannot be reached ({first_line}); is the address right, and the server running?"
        ) from error


def repair(journal: Path) -> None:
    """Drop a torn last line, which a kill while writing leaves behind, and say so; for the journal's only writer.

    Raises:
        JournalError: another line than the last is torn: the file was changed by something else.
    """
    torn = _torn_end(journal)
    if torn:
        log.warning("dropped the torn last line of '%s': that trial will be evaluated again", journal)
        with journal.open("r+b") as file:
            file.truncate(journal.stat().st_size - torn)


def _torn_end(journal: Path) -> int:
    """Number of bytes of a torn last line; 0 for a whole journal. Raises JournalError for a torn middle."""
    lines = journal.read_bytes().splitlines(keepends=True) if journal.is_file() else []
    torn = [number for number, line in enumerate(lines, start=1) if not _is_whole(line)]
    if not torn:
        return 0
    if torn[0] < len(lines):
        raise JournalError(
            f"'{journal}' is torn at line {torn[0]} of {len(lines)}, not at its end: it was changed from outside; "
            "restore it from a copy, or start a run of another name"
        )
    return len(lines[-1])


def _is_whole(line: bytes) -> bool:
    try:
        return line.endswith(b"\n") and isinstance(json.loads(line), dict)
    except ValueError:
        return False
