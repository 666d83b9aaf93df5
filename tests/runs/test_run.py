"""Runs from Python: tables, floors, failures, transforms, picking and publishing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

from mergesearch.errors import InputError, JournalError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session

from .conftest import MakeConfig


def test_baselines_come_first_and_stay_in_the_tables(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(budget__trials=20)))
    origins = [record.proposal.origin for record in result.records]
    assert origins[:5] == ["base", "member upright", "member flip", "member invert", "uniform soup"]
    assert "task arithmetic 0.3" in origins and "greedy pass, 2 members" in origins and origins[-1] == "random"
    written = pd.read_csv(result.folder.trials)
    assert len(written) == 20 and written["front"].sum() == len(pd.read_csv(result.folder.front))
    assert {"flip/accuracy", "flip/accuracy se", "flip/accuracy held-out", "mean held-out"} <= set(written)
    one_hot = written[[f"model | {task}" for task in ("upright", "flip", "invert")]].to_numpy()[2]
    assert one_hot.tolist() == [0.0, 1.0, 0.0]


def test_the_recorded_scores_are_those_of_the_samples_searched(make_config: MakeConfig) -> None:
    session = open_session(Config(**make_config()))
    for task, seen in session.search_samples.items():
        held_out = session.held_out[task]
        assert not set(seen.tolist()) & set(held_out.tolist())
        assert len(seen) + len(held_out) == 200


def test_only_chosen_baselines(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(search__baselines=["base", "uniform*"], budget__trials=5)))
    assert [record.proposal.origin for record in result.records] == ["base", "uniform soup", *["random"] * 3]


def test_a_floor_that_no_trial_reaches(make_config: MakeConfig, tmp_path: Path) -> None:
    objectives = [{"metric": "flip/accuracy", "floor": 1.1}, "invert/accuracy"]
    result = run(Config(**make_config(objectives=objectives, budget__trials=9)))
    assert "No trial keeps all floors; trial" in result.verdict and "comes nearest" in result.verdict
    report = result.folder.report.read_text()
    assert "comes nearest" in report and "Nearest to the floors" in report
    assert len(result.front) == 0
    with pytest.raises(InputError, match=r"no trial keeps all floors; trial \d+ comes nearest with .* lower a floor"):
        result.pick()
    assert result.pick(floors={"invert/accuracy": 0.0}) >= 0


def test_failed_candidates_are_recorded_and_the_run_goes_on(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    score = DataLoaderEvaluator.score
    calls: list[int] = []

    def sometimes(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if len(calls) in (3, 14):
            raise MemoryError("no memory for this batch")
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", sometimes)
    result = run(Config(**make_config(racing="off")))
    failed = [record.number for record in result.records if not record.complete]
    assert failed == [2, 13] and result.records[2].reason == "MemoryError: no memory for this batch"
    assert "trial 2 (member flip) failed: MemoryError" in caplog.text
    assert "no memory for this batch" in result.folder.report.read_text()
    assert len(result.records) == 16


def test_a_run_where_everything_fails_says_why(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: Any) -> Any:
        raise RuntimeError("no device")

    monkeypatch.setattr(DataLoaderEvaluator, "score", fail)
    with pytest.raises(InputError, match="all 4 trials failed, the first one with: RuntimeError: no device"):
        run(Config(**make_config(budget__trials=4)))


def test_a_run_that_begins_with_nothing_but_one_failure_stops(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*given: Any) -> Any:
        raise RuntimeError("no\n device")

    config = Config(**make_config())
    with monkeypatch.context() as patched:
        patched.setattr(DataLoaderEvaluator, "score", fail)
        with pytest.raises(InputError, match=r"the first 5 trials all failed with: RuntimeError: no device; mend that"):
            run(config)
    assert [record.complete for record in run(config).records] == [False] * 5 + [True] * 11


def run_interrupted(config: Config, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Start a run, and press Ctrl-C while its `at`th candidate is scored."""
    score = DataLoaderEvaluator.score
    calls: list[int] = []

    def interrupted(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return score(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(DataLoaderEvaluator, "score", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config)


def test_a_front_can_be_seen_before_the_end(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(**make_config())
    run_interrupted(config, monkeypatch, at=9)
    stopped = Run(config.folder)
    assert len(stopped.front) > 0 and stopped.state.startswith("stopped")
    with stopped.folder.locked():
        assert stopped.state == "running"
    assert run(config).state == "ended"


def test_a_lost_store_is_not_taken_for_a_new_run(make_config: MakeConfig, tmp_path: Path) -> None:
    database = tmp_path / "trials.db"
    config = Config(**make_config(store=f"sqlite:///{database}", budget__trials=6))
    run(config)
    database.unlink()
    for opening in (lambda: Run(config.folder), lambda: run(config)):
        with pytest.raises(JournalError, match="ended with 6 trials, but its store has 0: it was lost or replaced"):
            opening()


def test_a_searcher_that_raises_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "from mergesearch.search.searcher import Searcher\n"
        "class Broken(Searcher):\n"
        "    def propose(self, history, rng):\n"
        "        raise RuntimeError('out of ideas')\n"
    )
    with pytest.raises(
        InputError, match=r"searcher '.*mine.py:Broken' failed with RuntimeError: out of ideas; --debug"
    ):
        run(Config(**make_config(search__searcher=f"{path}:Broken")))


def test_ctrl_c_keeps_what_is_finished(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(**make_config())
    run_interrupted(config, monkeypatch, at=6)
    stopped = Run(config.folder)
    assert len(stopped.records) == 5 and stopped.folder.trials.is_file()
    assert stopped.verdict == "The run has not ended yet."
    assert len(run(config).records) == 16


def test_a_time_budget_ends_the_run_and_can_be_raised(make_config: MakeConfig) -> None:
    short = run(Config(**make_config(budget={"trials": 1000, "time": 0.001})))
    assert 1 <= len(short.records) < 20
    assert len(run(Config(**make_config(budget={"trials": 15}))).records) == 15


def test_export_equals_the_live_weights_bit_for_bit(make_config: MakeConfig, tmp_path: Path) -> None:
    config = Config(**make_config(space__groups="layers", budget__trials=18))
    result = run(config)
    number = 17
    result.export(tmp_path / "merged", number)
    session = open_session(config)
    session.bench.write(result.records[number].proposal)
    stored = load_file(tmp_path / "merged" / "model.safetensors")
    live = session.bench.live.tensors()
    assert stored.keys() == live.keys()
    assert all(np.array_equal(stored[name].numpy(), live[name].numpy()) for name in stored)
    recipe = json.loads((tmp_path / "merged" / "mergesearch.json").read_text())
    assert recipe["trial"] == number and recipe["groups"] == list(result.plan.groups)
    assert not (tmp_path / "merged" / "mergekit.yaml").exists(), "mergekit cannot open lone files"


@pytest.mark.slow
def test_an_exported_model_scores_the_same_in_a_fresh_process(make_config: MakeConfig, tmp_path: Path) -> None:
    result = run(Config(**make_config(space__groups="layers", budget__trials=18, racing="off")))
    result.export(tmp_path / "merged", 17)
    keys = make_config(name="again", search__baselines=["base"], budget__trials=1)
    keys["models"]["base"] = str(tmp_path / "merged" / "model.safetensors")
    script = (
        "import json, sys; from mergesearch import Config, run\n"
        "print(run(Config(**json.loads(sys.argv[1]))).records[0].values)"
    )
    done = subprocess.run([sys.executable, "-c", script, json.dumps(keys)], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == str(result.records[17].values)


def test_export_refuses_what_it_cannot_do(make_config: MakeConfig, bed: Path, tmp_path: Path) -> None:
    config = Config(**make_config(budget__trials=5))
    result = run(config)
    with pytest.raises(InputError, match="there is no trial 5; the run has trials 0 to 4"):
        result.export(tmp_path / "merged", 5)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="full' exists and is not empty"):
        result.export(tmp_path / "full", 0)
    plan = result.folder.plan
    plan.write_text(plan.read_text().replace(result.plan.bank, "0" * 64))
    with pytest.raises(InputError, match="base or members have changed since the run"):
        Run(config.folder).export(tmp_path / "merged", 0)


def test_minimised_objectives_keep_their_sign_in_the_tables(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(objectives=["flip/loss", "invert/loss"], budget__trials=12)))
    table = result.trials
    assert np.allclose(table["mean"], (table["flip/loss"] + table["invert/loss"]) / 2)
    assert result.front["mean"].is_monotonic_increasing
    mixed = run(Config(**make_config(name="mixed", objectives=["flip/loss", "invert/accuracy"], budget__trials=12)))
    assert mixed.front["mean"].is_monotonic_decreasing


def test_members_stay_themselves_under_a_transform(make_config: MakeConfig, tmp_path: Path) -> None:
    plain = run(Config(**make_config(budget__trials=5)))
    keys = make_config(name="ties", models__transform={"kind": "ties", "density": 0.3}, budget__trials=18)
    ties = run(Config(**keys))
    by_origin = {record.proposal.origin: record for record in ties.records}
    assert "Ties(density=0.3)" in by_origin
    for record in plain.records[:4]:
        assert by_origin[record.proposal.origin].values == record.values
    member = by_origin["member flip"].number
    ties.export(tmp_path / "member", member)
    stored = load_file(tmp_path / "member" / "model.safetensors")
    original = load_file(keys["models"]["members"]["flip"])
    assert all(np.array_equal(stored[name].numpy(), original[name].numpy()) for name in original)


def test_a_trajectory_needs_no_base(make_config: MakeConfig, bed: Path, tmp_path: Path) -> None:
    for step, name in enumerate(("base", "flip", "invert"), start=1):
        (tmp_path / f"step_{step * 100}.safetensors").write_bytes((bed / f"{name}.safetensors").read_bytes())
    keys = make_config(space={"groups": "model", "kind": "affine"}, budget__trials=14)
    keys["models"] = {**keys["models"], "trajectory": str(tmp_path / "step_*.safetensors")}
    del keys["models"]["base"], keys["models"]["members"]
    result = run(Config(**keys))
    assert list(result.plan.members) == ["step 100", "step 200", "step 300"]
    assert np.allclose(result.records[-1].proposal.table.members.sum(axis=1), 1.0)
