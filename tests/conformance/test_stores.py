"""What every store must do: give finished trials back bit for bit, in order, to any process, whole or not at all."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mergesearch.runs.store import Store, open_storage

from .trial_records import COORDINATES, failed, record


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """URL of a PostgreSQL server of our own, on a port of our own."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert programs, "PostgreSQL's server programs are missing; install the package postgresql"
    with tempfile.TemporaryDirectory(prefix="mergesearch-postgres-") as folder:
        yield from _serve(programs[-1].parent, Path(folder))


def _serve(bin_folder: Path, data: Path) -> Iterator[str]:
    if os.geteuid() == 0:  # the server refuses to run as root
        shutil.chown(data, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    server = [*as_user, str(bin_folder / "pg_ctl"), "-D", str(data / "db"), "-w"]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={data} -c fsync=off"
    _quietly(*as_user, str(bin_folder / "initdb"), "-D", str(data / "db"), "-A", "trust")
    _quietly(*server, "-o", options, "-l", str(data / "log"), "start")
    yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    _quietly(*server, "-m", "immediate", "stop")


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(params=["journal", "sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str | None:
    """Where the store lies; None for the journal file."""
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres"))
    return f"sqlite:///{tmp_path}/trials.db" if request.param == "sqlite" else None


def open_store(url: str | None, folder: Path, study: str) -> Store:
    return Store(open_storage(url, folder / "journal.log"), study, ["maximize", "minimize"], COORDINATES)


def test_records_come_back_bit_for_bit(url: str | None, tmp_path: Path) -> None:
    wanted = [record(0), failed(1), record(2)]
    store = open_store(url, tmp_path, "bits")
    for one in wanted:
        store.append(one)
    assert store.records() == wanted
    assert open_store(url, tmp_path, "bits").records() == wanted, "another process reads the same"


def test_a_run_without_trials_is_empty(url: str | None, tmp_path: Path) -> None:
    assert open_store(url, tmp_path, "nothing").records() == []


def test_runs_of_another_name_are_apart(url: str | None, tmp_path: Path) -> None:
    open_store(url, tmp_path, "ours").append(record(0))
    assert open_store(url, tmp_path, "theirs").records() == []


def test_appending_goes_on_where_it_stopped(url: str | None, tmp_path: Path) -> None:
    for number in range(4):
        store = open_store(url, tmp_path, "resumed")
        assert [one.number for one in store.records()] == list(range(number))
        store.append(record(number))
