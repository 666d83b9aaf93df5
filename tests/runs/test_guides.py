"""Differentiable losses beside the objectives: chosen, recorded, resumed, and refused where there are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.plugins import load_object
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.guides import Guidance, guides_for
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.search.history import History

from .conftest import MakeConfig

DOWNHILL = Path(__file__).parent / "downhill.py"


@pytest.fixture
def seen() -> list[History]:
    """The histories that the searchers were given, in this test."""
    histories: list[History] = load_object(f"{DOWNHILL}:SEEN")
    histories.clear()
    return histories


def keys(make_config: MakeConfig, searcher: str = "Downhill", **changes: object) -> dict[str, object]:
    return make_config(search={"searcher": f"{DOWNHILL}:{searcher}", "seed": 1}, **changes)


def objectives(*metrics: tuple[str, bool]) -> Objectives:
    return Objectives(tuple(Objective(f"task {i}", metric, up) for i, (metric, up) in enumerate(metrics)))


def test_the_loss_of_an_objective_is_itself_or_its_tasks_first() -> None:
    losses = {"task 0": ("loss", "entropy"), "task 1": ("loss", "entropy"), "task 2": ("loss",)}
    found = guides_for(objectives(("accuracy", True), ("entropy", False)), losses, "x", "used")
    assert found == (("task 0", "loss"), ("task 1", "entropy"))
    assert guides_for(objectives(("entropy", True)), losses, "x", "used") == (("task 0", "loss"),)
    assert guides_for(objectives(("accuracy", True)), losses, "x", "unused") is None
    assert guides_for(objectives(("accuracy", True)), {}, "x", "used") is None
    with pytest.raises(InputError, match="searcher 'x' follows coefficient gradients, but 'task 0/accuracy' has no"):
        guides_for(objectives(("accuracy", True)), {}, "x", "needed")


def test_every_trial_is_guided_and_a_resumed_run_goes_on_alike(make_config: MakeConfig, seen: list[History]) -> None:
    whole = run(Config(**keys(make_config, name="whole", budget__trials=16)))
    last = seen[-1]
    assert last.guides is not None
    assert last.guides.losses.shape == (len(last), 2)
    assert last.guides.slopes.shape == (len(last), 2, 1, 3)
    assert np.isfinite(last.guides.slopes).all()
    for trials in (11, 16):
        pieces = run(Config(**keys(make_config, name="pieces", budget__trials=trials)))
    for one, other in zip(whole.records, pieces.records, strict=True):
        assert one.proposal == other.proposal
        assert one.guidance == other.guidance
    read = Run(whole.folder.path).records
    assert [one.guidance for one in read] == [one.guidance for one in whole.records]


def test_guides_are_slopes_of_the_losses(make_config: MakeConfig, seen: list[History]) -> None:
    """Loss objectives guide themselves: their values are the guides', and difference quotients their slopes."""
    losses = ["flip/loss", "invert/loss"]
    run(Config(**keys(make_config, objectives=losses, budget__trials=40, space={"groups": "model", "kind": "box"})))
    last = seen[-1]
    assert last.guides is not None
    np.testing.assert_allclose(last.guides.losses, last.losses, rtol=1e-6)
    near = [(i, j) for i in range(len(last)) for j in range(i) if 0 < np.linalg.norm(last.x[i] - last.x[j]) < 0.03]
    assert near
    for i, j in near:
        slope = (last.guides.slopes[i] + last.guides.slopes[j])[:, 0] / 2
        np.testing.assert_allclose(
            slope @ (last.x[i] - last.x[j]), last.losses[i] - last.losses[j], rtol=0.05, atol=1e-4
        )


def test_scalarised_guides_are_the_weighted_mean(make_config: MakeConfig, seen: list[History]) -> None:
    config = keys(make_config, objectives=[{"metric": "flip/loss", "weight": 3}, "invert/loss"])
    config["search"] = {**config["search"], "scalarise": "mean"}  # type: ignore[dict-item]
    run(Config(**config))
    last = seen[-1]
    assert last.guides is not None
    np.testing.assert_allclose(last.guides.losses, last.losses, rtol=1e-6)


def test_who_needs_gradients_says_so_where_there_are_none(make_config: MakeConfig, seen: list[History]) -> None:
    plain = {
        "plain": {"kind": "callable", "function": f"{DOWNHILL}:size", "samples": 4, "metrics": {"size": "minimize"}}
    }
    changes: dict[str, Any] = {"evaluators": plain, "objectives": ["plain/size"]}
    with pytest.raises(InputError, match="but 'plain/size' has no differentiable loss; take an evaluator that has"):
        run(Config(**keys(make_config, **changes)))
    run(Config(**keys(make_config, searcher="Curious", **changes)))
    assert seen[-1].guides is None


def test_guidance_in_the_journal_is_what_was_measured() -> None:
    slopes = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32).astype(np.float64)
    guidance = Guidance(np.array([0.1, np.pi]), slopes)
    assert Guidance.from_plain(guidance.to_plain()) == guidance


def test_an_objective_that_is_not_followed_needs_no_loss(make_config: MakeConfig) -> None:
    """A reward without a gradient may stand beside the loss that steers; not where it is to be followed itself."""
    config = make_config(objectives=["flip/loss", "plain/size"], budget__trials=14)
    plain = {"kind": "callable", "function": f"{DOWNHILL}:size", "samples": 4, "metrics": {"size": "minimize"}}
    config["evaluators"] = {**config["evaluators"], "plain": plain}
    config["search"] = {"searcher": "learned_soup", "options": {"steer": [1, 0]}}
    done = run(Config(**config))
    steps = [one for one in done.records if one.proposal.origin == "learned_soup"]
    assert steps
    assert all(one.guidance is not None and np.isnan(one.guidance.losses[1]) for one in steps)
    assert Run(done.folder.path).records[-1].guidance == steps[-1].guidance
    with pytest.raises(InputError, match=r"but 'plain/size' has no differentiable loss.*steer by the other objectives"):
        run(Config(**{**config, "name": "all", "search": {"searcher": "learned_soup"}}))
