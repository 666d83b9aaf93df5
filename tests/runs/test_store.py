"""The journal: whole records, torn lines, and Optuna's own tools."""

from __future__ import annotations

import logging
from pathlib import Path

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from mergesearch.errors import InputError, JournalError
from mergesearch.runs.store import Store, open_storage, repair

from ..conformance.trial_records import COORDINATES, failed, record


def open_store(url: str | None, path: Path) -> Store:
    return Store(open_storage(url, path), "run", ["maximize", "minimize"], COORDINATES)


def test_optuna_reads_the_journal(tmp_path: Path) -> None:
    store = open_store(None, tmp_path / "journal.log")
    store.append(record(0))
    store.append(failed(1))
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = optuna.load_study(study_name="run", storage=storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL"]
    assert study.trials[0].params == {"a": 0.1 + 0.2, "b": -1 / 3}
    assert study.best_trials[0].values == [1 / 3, 2.0]


def test_a_torn_last_line_is_dropped_at_every_length(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.log"
    store = open_store(None, path)
    store.append(record(0))
    whole = path.read_bytes()
    store.append(record(1))
    full = path.read_bytes()
    for length in range(len(whole) + 1, len(full), 37):
        path.write_bytes(full[:length])
        with caplog.at_level(logging.WARNING):
            repair(path)
        resumed = open_store(None, path)
        assert "dropped the torn last line" in caplog.text
        assert [one.number for one in resumed.records()] == [0]
        resumed.append(record(1))
        assert len(open_store(None, path).records()) == 2
        caplog.clear()


def test_a_torn_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    store = open_store(None, path)
    for number in range(3):
        store.append(record(number))
    lines = path.read_bytes().splitlines(keepends=True)
    torn = b"".join([*lines[:-2], lines[-2][:20] + b"\n", lines[-1]])
    path.write_bytes(torn)
    with pytest.raises(JournalError, match=r"is torn at line \d+ of \d+, not at its end.*restore it from a copy"):
        open_store(None, path)
    assert path.read_bytes() == torn


def test_reading_a_journal_changes_nothing(tmp_path: Path) -> None:
    """Another process may be writing it."""
    path = tmp_path / "journal.log"
    store = open_store(None, path)
    store.append(record(0))
    path.write_bytes(path.read_bytes() + b'{"op_code": 4, "half')
    before = path.read_bytes()
    assert len(open_store(None, path).records()) == 1
    assert path.read_bytes() == before


def test_unreachable_databases_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"store 'sqlite:////nowhere/x.db' cannot be reached"):
        open_storage("sqlite:////nowhere/x.db", tmp_path / "journal.log")


def test_any_optuna_storage_will_do() -> None:
    store = Store(InMemoryStorage(), "run", ["maximize", "minimize"], COORDINATES)
    store.append(record(0))
    assert len(store.records()) == 1
