"""A run over the snapshots of one training run: its baselines, two hundred of them, and a kill in between."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.plugins import load_object
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session
from mergesearch.spaces.ema import ema_row

from .conftest import BED, MakeConfig
from .test_resume import essence
from .test_run import run_interrupted

LCSC = {"searcher": "lcsc", "seed": 1, "scalarise": "mean"}
LOSSES = ["upright/loss", "flip/loss"]


def train_snapshots(folder: Path, count: int) -> Path:
    """Train the bed's network on two tasks at once at a high learning rate; snapshots at uneven steps."""
    bed = sys.modules[load_object(f"{BED}:network").__module__]
    batches = [bed._data(task) for task in ("upright", "flip")]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = bed.network()
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        step = 0
        for snapshot in range(count):
            for _ in range(1 + snapshot % 3):
                rows = torch.randint(1500, (32,))
                optimiser.zero_grad()
                torch.stack([nn.functional.cross_entropy(model(x[rows]), y[rows]) for x, y in batches]).sum().backward()
                optimiser.step()
                step += 1
            save_file(model.state_dict(), folder / f"step_{step:05d}.safetensors")
    return folder


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_snapshots(tmp_path_factory.mktemp("trajectory"), 200)


def keys(make_config: MakeConfig, trajectory: str, **changes: Any) -> dict[str, Any]:
    models = {"trajectory": trajectory, "network": f"{BED}:network", "device": "cpu"}
    space = {"groups": "model", "kind": "affine", "low": -10, "high": 10}
    return make_config(models=models, space=space, search=LCSC, objectives=LOSSES, **changes)


def test_baselines_are_averages_and_the_last_snapshots(make_config: MakeConfig, snapshots: Path) -> None:
    plan = open_session(Config(**keys(make_config, f"{snapshots}/*"))).plan()
    assert plan.baselines[:10] == [f"member {name}" for name in plan.members[-10:]]
    windows = [f"window {size}" for size in (2, 4, 8, 16, 32, 64, 128)]
    rates = [f"ema {rate}" for rate in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)]
    assert plan.baselines[10:] == ["uniform soup", *windows, *rates]


def test_a_base_of_its_own_is_among_them(make_config: MakeConfig, snapshots: Path, bed: Path) -> None:
    given = keys(make_config, f"{snapshots}/step_003*", models__base=str(bed / "base.safetensors"))
    assert open_session(Config(**given)).plan().baselines[0] == "base"


def test_single_snapshots_and_globs(make_config: MakeConfig, snapshots: Path) -> None:
    one = open_session(Config(**keys(make_config, f"{snapshots}/step_00001*"))).plan()
    assert one.baselines == ["member step 1"]
    asked = keys(make_config, f"{snapshots}/step_003*", search__baselines=["member *", "ema 0.97"])
    plan = open_session(Config(**asked)).plan()
    assert plan.baselines == [*(f"member {name}" for name in plan.members), "ema 0.97"]


@pytest.fixture(scope="module")
def two_hundred(snapshots: Path) -> dict[str, Any]:
    """What both runs of the slow test share."""
    return {"trajectory": f"{snapshots}/*", "budget__trials": 200, "samples": {"held_out": 0.25, "fresh": 0.25}}


@pytest.mark.slow
def test_two_hundred_snapshots_killed_after_73(
    make_config: MakeConfig, two_hundred: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resumed run is the uninterrupted one, and evaluates nothing twice; every EMA is exact; the search wins."""
    whole = run(Config(**keys(make_config, **two_hundred, name="whole", racing="off")))
    apart = {"name": "killed", "racing": "off", "cache": str(whole.folder.path / "cache of the other")}
    killed = Config(**keys(make_config, **two_hundred, **apart))
    run_interrupted(killed, monkeypatch, at=74)
    assert len(Run(killed.folder).records) == 73
    calls = _count_evaluations(monkeypatch)
    resumed = run(killed)
    elite_and_front = {*resumed.results.held_out} if resumed.results else set()
    assert len(calls) == 200 - 73 + len(elite_and_front) + 5, "127 trials, and what is scored on other samples"
    assert essence(resumed.records) == essence(whole.records)
    assert resumed.results == whole.results

    steps = [int(name.removeprefix("step ")) for name in whole.plan.members]
    assert len(steps) == 200 and len(set(np.diff(steps))) == 3, "uneven"
    rows = {one.proposal.origin: one.proposal.table.members[0] for one in whole.records}
    np.testing.assert_allclose(rows["ema 0.98"], ema_row(steps, 0.98), atol=1e-12)
    proposed = np.array([one.proposal.table.members[0] for one in whole.records if one.proposal.origin == "lcsc"])
    assert len(proposed) == 175 and proposed.min() < 0
    assert np.abs(proposed.sum(axis=1) - 1).max() < 1e-9
    table = whole.trials.set_index("origin")["mean held-out"].dropna()
    winner = whole.trials.set_index("trial").loc[whole.pick()]
    assert winner["origin"] == "lcsc" and winner["mean held-out"] < table[f"member {whole.plan.members[-1]}"]
    assert "best EMA" in whole.verdict and "mean fresh" in whole.trials


def _count_evaluations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    score, calls = DataLoaderEvaluator.score, []

    def counted(self: DataLoaderEvaluator, *given: Any) -> Any:
        calls.append(1)
        return score(self, *given)

    monkeypatch.setattr(DataLoaderEvaluator, "score", counted)
    return calls


def test_the_same_coefficients_are_scored_once(
    make_config: MakeConfig, snapshots: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = open_session(Config(**keys(make_config, f"{snapshots}/step_003*")))
    session.folder.scores.mkdir(parents=True)
    first, second = (session.proposals.baselines.proposals[index] for index in (0, -1))
    scores = session.bench.score(first, session.search_samples)
    session.bench.score(second, session.search_samples)
    calls = _count_evaluations(monkeypatch)
    again = session.bench.score(first, session.search_samples)
    assert not calls
    assert [one.value for one in scores["flip"].values()] == [one.value for one in again["flip"].values()]
