"""A run that is killed and resumed equals the uninterrupted run, for every searcher."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

import mergesearch.search
from mergesearch.plugins import plugin_names
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.record import TrialRecord
from mergesearch.search.searcher import Searcher

from .conftest import MakeConfig

SEARCHERS = plugin_names(mergesearch.search.__name__, Searcher)
OPTIONS = {"grid": {"points": 2}, "nsga2": {"population": 4}, "nsga3": {"population": 4}}
ONE_OBJECTIVE = {"cmaes", "lcsc"}
KILLS = 10


def essence(records: list[TrialRecord]) -> list[tuple[object, ...]]:
    """Everything in the records but the times."""
    return [(one.number, one.proposal, one.values, one.errors, one.violations, one.key, one.reason) for one in records]


def keys_for(searcher: str, make_config: MakeConfig, **changes: object) -> dict[str, object]:
    search = {"searcher": searcher, "seed": 5, "options": OPTIONS.get(searcher, {})}
    if searcher in ONE_OBJECTIVE:
        search["scalarise"] = "mean"
    return make_config(search=search, **changes)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_run_in_three_pieces_equals_one_in_one(searcher: str, make_config: MakeConfig, tmp_path: Path) -> None:
    whole = run(Config(**keys_for(searcher, make_config, name="whole", budget__trials=20)))
    for trials in (7, 13, 20):
        keys = keys_for(searcher, make_config, name="pieces", budget__trials=trials, cache=str(tmp_path / "cache"))
        pieces = run(Config(**keys))
    assert essence(pieces.records) == essence(whole.records)
    assert pieces.results == whole.results


@pytest.mark.slow
@pytest.mark.parametrize("searcher", SEARCHERS)
def test_a_run_killed_ten_times_equals_an_uninterrupted_one(
    searcher: str, make_config: MakeConfig, tmp_path: Path
) -> None:
    whole = run(Config(**keys_for(searcher, make_config, name="whole", budget__trials=24)))
    path = tmp_path / "killed.yaml"
    keys = keys_for(searcher, make_config, name="killed", budget__trials=24, cache=str(tmp_path / "cache"))
    path.write_text(yaml.safe_dump(keys, sort_keys=False))
    folder = tmp_path / "runs" / "killed"
    moments = random.Random(searcher)
    finished: list[TrialRecord] = []
    for _ in range(KILLS):
        _kill_midway(path, folder, moments)
        if (folder / "config.yaml").is_file():
            now = Run(folder).records
            # A run that has ended meanwhile may have scored on trials that were stopped early.
            kept = [one.number for one in finished if one.visited == now[one.number].visited]
            assert len(now) >= len(finished) and all(
                now[one.number].visited > one.visited for one in finished if one.number not in kept
            )
            unchanged = essence([now[number] for number in kept]) == essence([finished[number] for number in kept])
            assert unchanged, "a finished trial was lost or changed"
            finished = now
    _command(path).communicate()
    assert essence(Run(folder).records) == essence(whole.records)
    assert Run(folder).results == whole.results


def test_nothing_is_evaluated_twice(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from mergesearch.evaluators.dataloader import DataLoaderEvaluator

    config = Config(**make_config())
    first = run(config)
    calls: list[object] = []
    monkeypatch.setattr(DataLoaderEvaluator, "score", lambda *given: calls.append(given))
    again = run(config)
    assert not calls
    assert essence(again.records) == essence(first.records)


def _command(path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mergesearch", "run", str(path)]
    # As many threads as in this process: the order in which a gradient is summed up, and so its last bit, follows them.
    few = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=few)


def _kill_midway(path: Path, folder: Path, moments: random.Random) -> None:
    """Start the run, wait for it to be under way, and kill it at a random moment."""
    process = _command(path)
    deadline = time.monotonic() + 120
    while process.poll() is None and not (folder / "config.yaml").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    before = (folder / "journal.log").stat().st_size if (folder / "journal.log").is_file() else 0
    while process.poll() is None and time.monotonic() < deadline:
        if (folder / "journal.log").is_file() and (folder / "journal.log").stat().st_size > before:
            break
        time.sleep(0.002)
    time.sleep(moments.random() * 0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
