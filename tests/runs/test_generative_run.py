"""Generators through a whole run: distance and precision as two objectives, judged on noise that was held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mergesearch import Config, run
from mergesearch.evaluators.frechet import FrechetEvaluator
from mergesearch.evaluators.statistics.split import split_samples
from mergesearch.plugins import load_object

DRAWING = Path(__file__).parents[1] / "evaluators" / "drawing.py"
OPTIONS: dict[str, Any] = {
    "generator": f"{DRAWING}:draw",
    "samples": 120,
    "shape": [6],
    "reference": f"{DRAWING}:points",
    "extractor": f"{DRAWING}:features",
    "metrics": ["frechet", "precision"],
    "batch_size": 30,
}


@pytest.fixture
def members(tmp_path: Path) -> dict[str, str]:
    """Three untrained generators with different weights."""
    paths = {}
    for seed in range(3):
        torch.manual_seed(seed)
        paths[f"m{seed}"] = str(tmp_path / f"m{seed}.safetensors")
        save_file(load_object(f"{DRAWING}:network")().state_dict(), paths[f"m{seed}"])
    return paths


def test_the_front_is_of_the_search_noise_and_judged_on_other_noise(members: dict[str, str], tmp_path: Path) -> None:
    result = run(
        Config(
            models={
                "base": members.pop("m0"),
                "members": members,
                "network": f"{DRAWING}:network",
                "device": "cpu",
            },
            space={"groups": "model", "kind": "box", "low": -1.0, "high": 1.5},
            search={"searcher": "sobol"},
            evaluators={"drawn": {"kind": "frechet", "cache": str(tmp_path / "cache"), **OPTIONS}},
            objectives=["drawn/frechet", {"metric": "drawn/precision", "floor": 0.1}],
            samples={"held_out": 0.5},
            budget={"trials": 20},
            out=str(tmp_path),
        )
    )
    winner = result.pick()
    result.export(tmp_path / "merged", winner)
    model = load_object(f"{DRAWING}:network")()
    model.load_state_dict(load_file(next((tmp_path / "merged").glob("*.safetensors"))))
    own = FrechetEvaluator("drawn", **OPTIONS, cache=str(tmp_path / "cache"))
    own.prepare(model, None)
    row = result.trials.set_index("trial").loc[winner]
    split = split_samples(120, 0.5, 0, "drawn")
    assert not set(split.search) & set(split.held_out)
    for samples, suffix in ((split.search, ""), (split.held_out, " held-out")):
        scores = own.score(model, {"drawn": np.asarray(samples)})["drawn"]
        for metric in ("frechet", "precision"):
            assert row[f"drawn/{metric}{suffix}"] == pytest.approx(scores[metric].value, rel=1e-4)
    best = result.trials["drawn/frechet"].min()
    members_best = result.trials[result.trials["origin"].str.startswith("member")]["drawn/frechet"].min()
    assert best < members_best
