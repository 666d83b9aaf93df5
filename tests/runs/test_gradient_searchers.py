"""AMA, AdaMerging and the learned soup on real weights, through whole runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import Session, open_session
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.table import CoefficientTable

from .conftest import MakeConfig


def searched(result: Run) -> tuple[np.ndarray, np.ndarray]:
    """Tables, `trials x groups x members`, and first objective of the trials that the searcher proposed."""
    own = [record for record in result.records if record.proposal.origin == result.config.search.searcher]
    return np.stack([one.proposal.table.members for one in own]), np.array([one.values[0] for one in own if one.values])


def weights(session: Session, table: CoefficientTable) -> dict[str, torch.Tensor]:
    session.bench.live.write(table)
    return {name: tensor.clone() for name, tensor in session.bench.live.tensors().items()}


def same(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_learned_soup_starts_as_the_uniform_soup_bit_for_bit(make_config: MakeConfig) -> None:
    for groups, kind in (("model", "box"), ("layers", "simplex"), ("tensors", "box")):
        keys = make_config(space={"groups": groups, "kind": kind}, search={"searcher": "learned_soup", "baselines": []})
        session = open_session(Config(**keys))
        first = session.proposals.next([])
        assert first is not None
        uniform = soup(range(3), len(session.bench.live.groups), 3)
        assert same(weights(session, first.table), weights(session, uniform))


def test_learned_soup_learns(make_config: MakeConfig) -> None:
    search = {"searcher": "learned_soup", "options": {"rate": 0.3}, "baselines": ["uniform soup"]}
    keys = make_config(space={"groups": "layers"}, search=search, objectives=["flip/loss"], budget__trials=16)
    tables, losses = searched(result := run(Config(**keys)))
    start = result.records[0].values
    assert start is not None and losses.min() < 0.7 * start[0]  # the uniform soup among the baselines is its start
    np.testing.assert_allclose(tables.sum(axis=2), 1.0, atol=1e-12)


def ama_config(make_config: MakeConfig, bed: Path, **changes: object) -> Config:
    keys: dict[str, object] = {
        "models__members": {"flip": str(bed / "flip.safetensors")},
        "space": {"groups": {"ama": {"blocks": 2, "policy": "all"}}, "kind": "mean", "mean": [0.2, 0.8]},
        "objectives": ["flip/loss"],
    }
    return Config(**make_config(**{**keys, **changes}))


def test_ama_beats_plain_averaging_at_every_mean(make_config: MakeConfig, bed: Path) -> None:
    search = {"searcher": "ama", "baselines": ["base"], "options": {"map": "projected", "pre_shares": [0.3, 0.7]}}
    tables, losses = searched(run(ama_config(make_config, bed, search=search, budget__trials=25)))
    np.testing.assert_array_equal(tables[:2, :, 0], [[0.7, 0.7], [0.30000000000000004] * 2])
    means = np.round(tables.mean(axis=(1, 2)), 12)
    for start, mean in enumerate((0.7, 0.3)):
        assert losses[means == mean].min() < losses[start] - 1e-3
    assert tables.min() >= 0.0 and tables.max() <= 1.0


def test_equal_ratios_are_plain_averaging_and_the_ends_are_the_models(make_config: MakeConfig, bed: Path) -> None:
    session = open_session(ama_config(make_config, bed))
    ends = {0.0: "base", 1.0: "flip"}
    for share, name in ends.items():
        found = weights(session, CoefficientTable.tied(np.array([share]), 2))
        assert same(found, load_file(bed / f"{name}.safetensors"))
    plain = open_session(ama_config(make_config, bed, space={"groups": "model", "kind": "box"}))
    by_block, by_model = (CoefficientTable.tied(np.array([0.8]), groups) for groups in (2, 1))
    assert same(weights(session, by_block), weights(plain, by_model))


def test_a_model_merged_with_itself_is_itself(make_config: MakeConfig, bed: Path, tmp_path: Path) -> None:
    twin = shutil.copy(bed / "base.safetensors", tmp_path / "twin.safetensors")
    session = open_session(ama_config(make_config, bed, models__members={"twin": str(twin)}))
    for ratios in ([0.1, 0.9], [0.37, 0.61]):
        found = weights(session, CoefficientTable.of(np.array(ratios)[:, None]))
        assert same(found, load_file(bed / "base.safetensors"))


def test_adamerging_lowers_the_entropy_within_its_step_bound(make_config: MakeConfig) -> None:
    objectives = ["upright/entropy", "flip/entropy", "invert/entropy"]
    search = {"searcher": "adamerging", "options": {"steps": 10}, "scalarise": "mean"}
    for groups, rows in (("model", 1), ("tensors", 8)):
        keys = make_config(
            name=groups, space={"groups": groups}, search=search, objectives=objectives, budget__trials=40
        )
        keys["evaluators"]["digits"]["metrics"] = ["entropy"]
        result = run(Config(**keys))
        tables, _ = searched(result)
        assert tables.shape[1:] == (rows, 3)
        assert np.abs(tables - 0.3).max() <= 0.0105
        entropies = np.array([np.mean(one.values or np.nan) for one in result.records[-len(tables) :]])
        assert len(tables) == 10 and np.all(np.diff(entropies) < 0)  # the start is a baseline: task arithmetic at 0.3


@pytest.mark.slow
def test_learned_soup_needs_one_live_model_beside_the_bank(tmp_path: Path) -> None:
    """Resident are base, deltas and one model; searching adds no copy of a model."""
    script = Path(__file__).with_name("wide_layers.py")
    for step in ("write", "learn"):
        command = [sys.executable, str(script), step, str(tmp_path)]
        # Every thread would add buffers of its own; glibc keeps freed gradients below a threshold that it moves.
        steady = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": str(2**20)}
        found = subprocess.run(command, capture_output=True, text=True, check=True, env=steady)
    opened, searching, losses = map(int, found.stdout.split()[-3:])
    model, members = 12 * 2048 * 2048 * 4, 4
    assert losses == 4
    assert opened < (1 + members + 1) * model + 1.25 * model  # the rest is libraries, the compiler among them
    assert searching < 0.5 * model  # gradients of a few layers, and the libraries that a first trial loads
