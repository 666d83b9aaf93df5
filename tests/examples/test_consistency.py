"""The zoo's consistency model: what it is trained to be, and the search of its snapshots by what they draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from consistency import LOWEST, generate, images, network, reader
from consistency_training import ConsistencyRecipe
from digits import dataset, training_set
from safetensors.torch import load_file
from score_table import ScoreTable
from train import build_consistency
from zoo_cache import SCORES_FILE

from mergesearch import Config, run
from mergesearch.evaluators.frechet import FrechetEvaluator
from mergesearch.evaluators.noise import sample_generators, sample_noise
from mergesearch.evaluators.statistics.split import split_samples

REPOSITORY = Path(__file__).resolve().parents[2]
SMALL = ConsistencyRecipe(steps=40, snapshots=3, steps_between=5)


def test_images_at_the_lowest_level_come_back_as_they_are() -> None:
    """The boundary condition that makes a consistency model one."""
    some, digits = images()[:20], torch.arange(20) % 10
    with torch.no_grad():
        assert torch.allclose(network()(some, torch.full((20,), LOWEST), digits), some, atol=1e-6)
        assert not torch.allclose(network()(some, torch.full((20,), 1.0), digits), some, atol=1e-1)


def test_noise_levels_double_and_span_all_noise() -> None:
    recipe = ConsistencyRecipe()
    counts = [len(recipe.levels(step)) - 1 for step in range(recipe.steps)]
    assert sorted(set(counts)) == [10, 20, 40, 80] and counts == sorted(counts)
    assert counts[recipe.steps // 2] == 80
    levels = recipe.levels(0)
    assert levels[[0, -1]].tolist() == pytest.approx([0.02, 20.0], rel=1e-5) and (levels.diff() > 0).all()


def test_an_image_depends_on_its_own_noise_and_label_alone() -> None:
    model, rows, labels = network(), np.arange(12), torch.arange(12) % 10
    noise = torch.from_numpy(sample_noise(0, rows, [8, 8]))
    with torch.no_grad():
        whole = generate(model, noise, labels, sample_generators(0, rows), levels=[0.8, 0.3])
        part = generate(model, noise[5:7], labels[5:7], sample_generators(0, rows[5:7]), levels=[0.8, 0.3])
        once = generate(model, noise, labels, [])
    assert torch.allclose(whole[5:7], part, atol=1e-5)
    assert not torch.allclose(whole, once, atol=1e-2)
    assert whole.shape == (12, 8, 8) and whole.min() >= 0 and whole.max() <= 1


def test_real_images_are_those_trained_on_or_the_others() -> None:
    assert torch.equal(images(), training_set("upright").tensors[0])
    assert torch.equal(images("others"), dataset("upright").tensors[0])


def test_same_seed_trains_the_same_snapshots(tmp_path: Path) -> None:
    first, second = (build_consistency(tmp_path / name, SMALL, print) for name in ("first", "second"))
    files = sorted(path.name for path in first.folder.glob("step_*.safetensors"))
    assert files == ["step_00030.safetensors", "step_00035.safetensors", "step_00040.safetensors"]
    assert first.scores == second.scores
    for name in files:
        left, right = (load_file(part.folder / name) for part in (first, second))
        assert left.keys() == network().state_dict().keys()
        assert all(torch.equal(left[key], right[key]) for key in left)


def _evaluator(zoo: Path, cache: Path, **changes: Any) -> FrechetEvaluator:
    """The example's evaluator, with changed options."""
    options = _example(zoo)["evaluators"]["drawn"] | {"cache": str(cache)} | changes
    del options["kind"]
    return FrechetEvaluator("drawn", **options)


def _example(zoo: Path) -> dict[str, Any]:
    text = (REPOSITORY / "examples" / "consistency.yaml").read_text(encoding="utf-8")
    text = text.replace("zoo/consistency/", f"{zoo}/consistency/").replace("zoo/digits/", f"{zoo}/digits/")
    keys: dict[str, Any] = yaml.safe_load(text.replace("examples/zoo", f"{REPOSITORY}/examples/zoo"))
    return keys


def _merged(zoo: Path, row: np.ndarray[Any, Any]) -> torch.nn.Module:
    states = [load_file(path) for path in sorted((zoo / "consistency").glob("step_*.safetensors"))]
    model = network()
    model.load_state_dict(
        {name: sum(float(c) * one[name] for c, one in zip(row, states, strict=True)) for name in states[0]}
    )
    return model


@pytest.mark.slow
def test_thirty_snapshots_draw_digits_that_can_be_read(zoo: Path) -> None:
    scores = ScoreTable.load(zoo / "consistency" / SCORES_FILE).scores
    assert len(scores) == 30
    assert all(row["one step"] > 0.95 and row["two steps"] > 0.85 for row in scores.values())
    features = reader(str(zoo / "digits" / "base.safetensors")).eval()
    assert features(images()[:5]).shape == (5, 128)


@pytest.mark.slow
def test_averages_draw_better_than_the_last_snapshot(zoo: Path, tmp_path: Path) -> None:
    evaluator = _evaluator(zoo, tmp_path)
    scores = []
    for weight in (np.repeat([0.0, 1.0], [29, 1]), np.repeat([0.0, 1 / 8], [22, 8])):
        model = _merged(zoo, weight)
        evaluator.prepare(model, None)
        scores.append(evaluator.score(model, {"drawn": np.arange(2000)})["drawn"])
    gain, error = scores[0]["frechet"].difference(scores[1]["frechet"])
    assert gain > 3 * error
    assert all(0.5 < one["precision"].value <= 1 and 0.5 < one["recall"].value <= 1 for one in scores)


@pytest.mark.slow
def test_the_search_beats_every_snapshot_and_the_last_by_far_on_fresh_noise(zoo: Path, tmp_path: Path) -> None:
    keys = _example(zoo) | {"budget": {"trials": 200}, "out": str(tmp_path)}
    keys["evaluators"]["drawn"] |= {"cache": str(tmp_path / "cache"), "metrics": ["frechet"]}
    result = run(Config(**keys))
    winner = result.records[result.pick()]
    row = winner.proposal.table.members[0]
    assert winner.proposal.origin == "lcsc" and abs(row.sum() - 1) < 1e-9
    assert "best member" in result.verdict.split("within noise")[0]
    fresh = _evaluator(zoo, tmp_path / "cache", seed=7, samples=4000, metrics=["frechet"])
    ours, last = _merged(zoo, row), _merged(zoo, np.repeat([0.0, 1.0], [29, 1]))
    fresh.prepare(ours, None)
    found = [fresh.score(model, {"drawn": np.arange(4000)})["drawn"]["frechet"] for model in (ours, last)]
    assert found[0].value < 0.85 * found[1].value
    # The run's score of its winner is this evaluator's: the engine's merge is the plain sum.
    own = _evaluator(zoo, tmp_path / "cache", metrics=["frechet"])
    own.prepare(ours, None)
    searched = split_samples(2000, 0.5, 0, "drawn").search
    again = own.score(ours, {"drawn": searched})["drawn"]["frechet"]
    assert winner.values is not None and again.value == pytest.approx(winner.values[0], rel=1e-4)
