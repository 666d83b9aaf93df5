"""What goes wrong around a run, and runs that are as small as can be: nothing finished is lost, nothing is mixed up."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError, JournalError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.runs import score_files
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.folder import write_atomically
from mergesearch.runs.session import open_session

from .conftest import MakeConfig
from .test_resume import essence


def test_candidates_without_held_out_scores_are_left_out(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A shortlisted trial that fails on held-out samples cannot win, and does not keep the run from ending."""
    config = Config(**make_config(racing="off"))
    whole = run(config)
    assert whole.results
    winner = whole.results.chosen.winner
    shutil.rmtree(Path(config.out) / ".cache")
    for path in whole.folder.scores.iterdir():
        if path.stem in whole.results.held_out.values():
            path.unlink()
    score = DataLoaderEvaluator.score
    calls: list[int] = []

    def sometimes(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if sorted(whole.results.held_out)[len(calls) - 1] == winner:  # type: ignore[union-attr]
            raise MemoryError("no memory for this batch")
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", sometimes)
    again = run(config)
    assert again.results and winner not in again.results.held_out
    assert winner not in again.results.chosen.all and again.results.chosen.winner is not None
    assert f"trial {winner} cannot be scored on held-out samples" in caplog.text
    monkeypatch.undo()
    assert run(config).results == whole.results, "what was no fault of the candidate's heals"


def test_a_full_disk_ends_the_run_and_fails_no_candidate(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def full(path: Path, content: str | bytes) -> None:
        calls.append(1)
        if len(calls) == 4:
            monkeypatch.setattr(os, "fsync", no_space)
        write_atomically(path, content)

    def no_space(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    config = Config(**make_config())
    whole = run(Config(**make_config(name="whole")))
    with monkeypatch.context() as patched:
        patched.setattr(score_files, "write_atomically", full)
        with pytest.raises(InputError, match=r"parquet' cannot be written \(No space left on device\); make room"):
            run(config)
    monkeypatch.undo()
    stopped = Run(config.folder)
    assert len(stopped.records) == 3 and all(record.complete for record in stopped.records)
    assert not list(stopped.folder.scores.glob(".*")), "no drafts are left"
    assert essence(run(config).records) == essence(whole.records)


def test_a_run_killed_before_its_plan_was_written_starts_anew(make_config: MakeConfig) -> None:
    config = Config(**make_config(budget__trials=3))
    session = open_session(config)
    session.folder.path.mkdir(parents=True)
    session.plan().write(session.folder)
    with pytest.raises(InputError, match="is no run folder"):
        Run(config.folder)
    changed = Config(**make_config(budget__trials=3, samples={"seed": 1, "held_out": 0.3}))
    assert len(run(changed).records) == 3


def test_a_folder_that_is_moved_keeps_its_trials(make_config: MakeConfig) -> None:
    first = run(Config(**make_config(budget__trials=6)))
    first.folder.path.rename(first.folder.path.with_name("moved"))
    moved = run(Config(**make_config(name="moved", budget__trials=8)))
    assert len(moved.records) == 8
    assert moved.records[:6] == first.records, "times and all: not one was evaluated again"


def test_runs_of_one_name_in_one_database_are_apart(make_config: MakeConfig, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/trials.db"
    first = run(Config(**make_config(store=store, budget__trials=5)))
    other = run(Config(**make_config(store=store, budget__trials=4, search__seed=4, out=str(tmp_path / "elsewhere"))))
    assert len(other.records) == 4 and len(Run(first.folder.path).records) == 5


def test_another_store_is_another_run(make_config: MakeConfig, tmp_path: Path) -> None:
    run(Config(**make_config(budget__trials=2)))
    with pytest.raises(JournalError, match="differing: store"):
        run(Config(**make_config(store=f"sqlite:///{tmp_path}/trials.db", budget__trials=2)))


@pytest.mark.parametrize("searcher", ["random", "tpe", "grid"])
def test_a_space_of_one_point_is_searched_once(make_config: MakeConfig, searcher: str) -> None:
    space = {"groups": "model", "kind": "fixed", "coefficients": [0.4, 0.3, 0.2]}
    keys = make_config(space=space, search__searcher=searcher, search__baselines=["base", "member*"])
    whole = run(Config(**keys))
    assert len(whole.records) == 4 + len([r for r in whole.records if "greedy" in r.proposal.origin]) + 1
    assert whole.records[0].proposal.x is None and whole.records[-1].proposal.x is not None
    assert essence(run(Config(**keys)).records) == essence(whole.records)


@pytest.mark.parametrize("kind", ["simplex", "box", "affine"])
def test_one_member_and_one_objective(make_config: MakeConfig, kind: str) -> None:
    keys = make_config(space={"groups": "model", "kind": kind}, objectives=["flip/loss"], budget__trials=9)
    keys["models"]["members"] = {"flip": keys["models"]["members"]["flip"]}
    result = run(Config(**keys))
    assert result.results and result.results.chosen.winner == result.pick()
    assert result.folder.report.is_file()


def test_a_search_that_cannot_work_is_refused_before_anything_is_evaluated(make_config: MakeConfig) -> None:
    grid = make_config(space__groups="tensors", search={"searcher": "grid", "options": {"points": 20}})
    with pytest.raises(InputError, match="a grid of 20 points in each of"):
        open_session(Config(**grid))
    uniform = make_config(space={"groups": "model", "kind": "box", "high": 0.1}, search__searcher="uniform")
    with pytest.raises(InputError, match="does not contain the uniform soup"):
        open_session(Config(**uniform))


def test_a_transformed_space_learns_nothing_from_members_as_they_stand(make_config: MakeConfig) -> None:
    """Their weights are not those of the one-hot table of transformed deltas."""
    keys = make_config(models__transform={"kind": "ties", "density": 0.3}, budget__trials=6)
    result = run(Config(**keys))
    members = [record for record in result.records if record.proposal.member is not None]
    assert len(members) == 3 and all(record.proposal.x is None for record in members)


def test_no_greedy_soup_where_no_member_could_be_scored(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = DataLoaderEvaluator.score
    calls: list[int] = []

    def only_base(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if 2 <= len(calls) <= 14:
            raise MemoryError("no memory")
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", only_base)
    result = run(Config(**make_config(search__baselines=["base", "member*", "uniform*"], budget__trials=16)))
    assert result.results and not result.results.chosen.rivals


def test_unusable_weights_are_refused(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(budget__trials=3)))
    for weights in ([1.0], [1.0, 2.0, 3.0], [float("nan"), 1.0], [0.0, 0.0], [-1.0, 2.0]):
        with pytest.raises(InputError, match="give 2 finite numbers"):
            result.pick(weights=weights)


def test_failed_trials_are_not_exported(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    score = DataLoaderEvaluator.score
    calls: list[int] = []

    def second_fails(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise MemoryError("no memory")
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", second_fails)
    result = run(Config(**make_config(budget__trials=3)))
    with pytest.raises(InputError, match="trial 1 failed with MemoryError: no memory; export one that was scored"):
        result.export(tmp_path / "merged", 1)


def test_a_verdict_says_where_the_run_has_gone_on(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    run(Config(**make_config(budget__trials=14, racing="off")))

    def interrupted(*given: Any) -> Any:
        raise KeyboardInterrupt

    longer = Config(**make_config(budget__trials=20, racing="off"))
    calls: list[int] = []
    score = DataLoaderEvaluator.score

    def third(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        return interrupted() if len(calls) == 3 else score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", third)
    with pytest.raises(KeyboardInterrupt):
        run(longer)
    stopped = Run(longer.folder)
    assert len(stopped.records) == 16
    assert stopped.verdict.endswith("(Of the first 14 trials; the run has gone on to 16 and not ended since.)")
    assert "(Of the first 14 trials" in stopped.folder.report.read_text()


def test_baselines_without_soups_or_members_are_nothing_to_compare_with(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(search__baselines=["base"], budget__trials=8)))
    assert "nothing was held out" not in result.verdict
    assert "neither soup nor member" in result.verdict


def test_a_file_that_was_edited_is_imported_anew(tmp_path: Path) -> None:
    """A notebook's second run uses the code whose fingerprint it records; equal names are kept apart."""
    from mergesearch.plugins import load_object

    file = tmp_path / "mine.py"
    file.write_text("def answer():\n    return 1\n")
    assert load_object(f"{file}:answer")() == 1
    assert load_object(f"{file}:answer") is load_object(f"{file}:answer")
    file.write_text("def answer():\n    return 2\n")
    assert load_object(f"{file}:answer")() == 2
    (tmp_path / "other").mkdir()
    other = tmp_path / "other" / "mine.py"
    other.write_text("def answer():\n    return 3\n")
    assert load_object(f"{other}:answer")() == 3


def test_a_searcher_a_hair_beyond_the_bounds_is_pulled_back() -> None:
    from mergesearch.search.history import History
    from mergesearch.search.searcher import Searcher
    from mergesearch.spaces.box import Box

    class Edge(Searcher):
        def propose(self, history: History, rng: np.random.Generator) -> Any:
            return [1.0 + 1e-12, 0.5]

    nothing = np.empty((0, 2))
    history = History(Box(2, 0.0, 1.0), 0, nothing, np.empty((0, 1)), np.empty((0, 1)), np.empty((0, 0)))
    x = Edge().ask(history)
    assert isinstance(x, np.ndarray) and x.tolist() == [1.0, 0.5]
