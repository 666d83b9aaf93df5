"""`search: auto`: the searcher is chosen at the start, said in one line, and stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from mergesearch.cli import app
from mergesearch.errors import InputError
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session

from .conftest import MakeConfig
from .test_resume import essence

CHOICE = "search: auto takes map: gradients give it the whole front"


def test_a_word_is_the_searcher(make_config: MakeConfig) -> None:
    assert Config(**make_config(search="auto")) == Config(**make_config(search={"searcher": "auto"}))
    assert Config(**make_config(search="sobol")).search.searcher == "sobol"


def test_it_is_the_searcher_that_it_names(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(search="auto", budget__trials=15)))
    assert result.plan.choice.startswith(CHOICE)
    assert result.plan.choice.endswith("(2 objectives, 3 dimensions, 5 trials after the baselines, gradients)")
    named = run(Config(**make_config(name="named", search="map", budget__trials=15)))
    assert essence(result.records) == essence(named.records)
    assert {record.proposal.origin for record in result.records} >= {"map"}
    assert not named.plan.choice


def test_a_raised_budget_keeps_it(make_config: MakeConfig) -> None:
    """A run of 1000 trials would have been started with another."""
    short = Config(**make_config(search="auto", budget__trials=12))
    long = Config(**make_config(search="auto", budget__trials=1000))
    assert open_session(long).proposals.name == "nsga2"
    started = run(short)
    session = open_session(long)
    assert session.proposals.name == "map"
    assert session.plan().settled(session.folder).choice == started.plan.choice
    longer = run(Config(**make_config(search="auto", budget__trials=14)))
    assert longer.plan.choice == started.plan.choice
    assert {record.proposal.origin for record in longer.records[12:]} == {"map"}


def test_it_is_said_wherever_one_looks(make_config: MakeConfig, tmp_path: Path) -> None:
    path = tmp_path / "auto.yaml"
    path.write_text(yaml.safe_dump(make_config(search="auto", budget__trials=13), sort_keys=False))
    runner = CliRunner()
    folder = tmp_path / "runs" / "bed"
    for command in (["validate", str(path)], ["run", str(path)], ["status", str(folder)]):
        shown = runner.invoke(app, command)
        assert shown.exit_code == 0, shown.output
        assert CHOICE in shown.output, command
    assert CHOICE in (folder / "report.html").read_text()
    assert json.loads((folder / "plan.json").read_text())["recommended"]["searcher"] == "map"
    assert Run(folder).plan.choice.startswith(CHOICE)


def test_options_need_a_searcher(make_config: MakeConfig) -> None:
    keys = make_config(search={"searcher": "auto", "options": {"startup": 3}})
    with pytest.raises(
        InputError, match=r"search.options \(startup\) are a searcher's own; name the searcher in place"
    ):
        open_session(Config(**keys))


def test_snapshots_are_evolved(make_config: MakeConfig, bed: Path, tmp_path: Path) -> None:
    for step, member in enumerate(("upright", "flip", "invert"), start=1):
        (tmp_path / f"step_{step}.safetensors").write_bytes((bed / f"{member}.safetensors").read_bytes())
    keys = make_config(search={"searcher": "auto", "scalarise": "mean"}, space__kind="affine")
    del keys["models"]["members"]
    keys["models"]["trajectory"] = str(tmp_path / "step_*.safetensors")
    assert open_session(Config(**keys)).proposals.name == "lcsc"
