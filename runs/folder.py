"""The run folder: the frozen configuration, the environment, the journal, scores, tables and report."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError, JournalError
from .config import Config, differing_keys, load_config

_DRAFT = ".draft"
_PACKAGES = ("mergesearch", "torch", "numpy", "transformers", "peft", "safetensors", "optuna", "cmaes", "lm_eval")


class RunFolder:
    """Paths of one run, and what is written once at its start."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path / ".lock"
        self.config = path / "config.yaml"
        self.environment = path / "environment.json"
        self.plan = path / "plan.json"
        self.journal = path / "journal.log"
        self.scores = path / "scores"
        self.output = path / "output"
        self.results = path / "results.json"
        self.trials = path / "trials.csv"
        self.front = path / "front.csv"
        self.report = path / "report.html"

    @classmethod
    def existing(cls, path: str | Path) -> RunFolder:
        """The folder of a run that was started before.

        Raises:
            InputError: there is none.
        """
        folder = cls(Path(path))
        if not folder.started:
            raise InputError(f"'{path}' is no run folder (no {folder.config.name}); start one with: mergesearch run")
        return folder

    def printed_by(self, evaluator: str) -> Path:
        """Where all is kept that an evaluator's programs print."""
        name = re.sub(r"[^\w. -]", "_", evaluator)
        return self.output / f"{name}.log"

    @property
    def started(self) -> bool:
        """Whether a run has been started here; the configuration is frozen last."""
        return self.config.is_file()

    def check(self, config: Config) -> None:
        """Refuse a configuration that would not continue this folder's run.

        Raises:
            JournalError: the folder belongs to another configuration; names the keys.
        """
        if not self.started:
            return
        differing = differing_keys(config, load_config(self.config))
        if differing:
            raise JournalError(
                f"'{self.path}' belongs to another configuration (differing: {', '.join(differing)}); "
                "give this one another name, or restore those keys"
            )

    def freeze(self, config: Config) -> None:
        """Write configuration and environment; a raised budget is taken over."""
        self.scores.mkdir(parents=True, exist_ok=True)
        content = config.model_dump(mode="json", exclude_defaults=False)
        write_atomically(self.config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        if not self.environment.is_file():
            write_atomically(self.environment, json.dumps(_environment(), indent=2) + "\n")

    def busy(self) -> bool:
        """Whether a process is running this folder's run."""
        if not self._lock.is_file():
            return False
        with self._lock.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for one process at a time; the lock goes with the process, however it ends.

        Raises:
            InputError: another process holds it.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("w")
        except OSError as error:
            raise InputError(
                f"cannot write to '{self.path}' ({error.strerror}); set `out` to another folder"
            ) from error
        with lock as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(f"'{self.path}' is being run by another process; wait for it, or stop it") from error
            # Nobody else can be writing now: a lock beside the journal, or a draft, is left over from a kill.
            for stale in [*self.path.glob(f"{self.journal.name}.lock*"), *self.path.rglob(f".*{_DRAFT}")]:
                stale.unlink()
            yield


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, even after a power cut.

    Raises:
        InputError: it cannot be written, as on a full disk.
    """
    # A draft of this process alone: another run may be writing the same evaluation at the same time.
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{_DRAFT}")
    try:
        with writing(path), draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
            draft.replace(path)
    except InputError:
        draft.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say so where a file cannot be written.

    Raises:
        InputError: as on a full disk.
    """
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room, and run again" if full else "is its folder there, and writable?"
        raise InputError(f"'{path}' cannot be written ({error.strerror}); {remedy}") from error


def read_results(path: Path) -> dict[str, Any]:
    """Content of a JSON file that a run wrote; empty where there is none yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def _environment() -> dict[str, Any]:
    versions = {}
    for package in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[package] = importlib.metadata.version(package)
    return {"python": sys.version.split()[0], "platform": platform.platform(), "packages": versions}
