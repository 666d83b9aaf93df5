"""Affine combinations of a trajectory's snapshots: near to exact arithmetic, and constants are left bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

SNAPSHOTS = 40
SPACE = Affine(SNAPSHOTS, -10.0, 10.0)
CONSTANT = ("frequencies", "down.filter", "up.filter", "norm.num_batches_tracked")


class Resampled(nn.Module):
    """A convolution with a constant filter, as in the diffusion networks that are searched this way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8, 3, 3))
        self.register_buffer("filter", torch.tensor([1.0, 3.0, 3.0, 1.0]).outer(torch.tensor([1.0, 3.0, 3.0, 1.0])) / 7)


class Denoiser(nn.Module):
    """Trained weights beside what no training changes: float buffers, a frozen parameter, an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = Resampled(), Resampled()
        self.norm = nn.BatchNorm2d(8)
        self.frequencies = nn.Parameter(torch.randn(128) * 16, requires_grad=False)


def denoiser() -> nn.Module:
    """For `models.network`; always the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Denoiser()


def save_trajectory(folder: Path, count: int = SNAPSHOTS, moved: float = 0.02) -> list[Mapping[str, torch.Tensor]]:
    """Snapshots of a random walk of everything that is trained."""
    generator, state = torch.Generator().manual_seed(0), denoiser().state_dict()
    snapshots: list[Mapping[str, torch.Tensor]] = []
    state["norm.num_batches_tracked"] += 1234
    for step in range(1, count + 1):
        for name, value in state.items():
            if name not in CONSTANT:
                state[name] = value + moved * torch.randn(value.shape, generator=generator)
        snapshots.append({name: value.clone() for name, value in state.items()})
        save_file(dict(snapshots[-1]), folder / f"step_{step:03d}.safetensors")
    return snapshots


def opened(folder: Path) -> LiveModel:
    """The snapshots of a folder as one live model."""
    models = Models(ModelPaths(trajectory=f"{folder}/*", network=f"{__file__}:denoiser", device="cpu"))
    return models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trajectory")
    save_trajectory(folder)
    return folder


@pytest.fixture(scope="module")
def live(folder: Path) -> LiveModel:
    return opened(folder)


def far_out(count: int) -> list[CoefficientTable]:
    """Rows of the affine space whose coefficients have magnitudes that add up to about 47."""
    rng = np.random.default_rng(0)
    return [SPACE.table(rng.normal(0, 1.43, SNAPSHOTS - 1)) for _ in range(count)]


def digest(live: LiveModel) -> str:
    """SHA-256 of all weights and buffers."""
    content = hashlib.sha256()
    for tensor in live.model.state_dict().values():
        content.update(tensor.contiguous().numpy().tobytes())
    return content.hexdigest()


def test_merged_weights_are_exact_to_single_precision(folder: Path, live: LiveModel) -> None:
    snapshots = [load_file(path) for path in sorted(folder.iterdir())]
    names = [name for name in snapshots[0] if name not in CONSTANT]
    stacked = np.stack([np.concatenate([s[name].double().numpy().ravel() for name in names]) for s in snapshots])
    errors, magnitudes = [], []
    for table in far_out(40):
        live.write(table)
        state = live.model.state_dict()
        merged = np.concatenate([state[name].double().numpy().ravel() for name in names])
        wanted = table.members[0] @ stacked
        errors.append(np.abs(merged - wanted).max() / np.sqrt(np.mean(wanted**2)))
        magnitudes.append(np.abs(table.members).sum())
    assert 40 < np.mean(magnitudes) < 55
    assert max(errors) <= 1e-5


def test_what_training_left_alone_is_left_bit_for_bit(folder: Path, live: LiveModel) -> None:
    first = load_file(min(folder.iterdir()))
    for table in far_out(20):
        live.write(table)
        state = live.model.state_dict()
        assert all(torch.equal(state[name], first[name]) for name in CONSTANT)
        assert not torch.equal(state["down.weight"], first["down.weight"])


def test_identical_snapshots_give_themselves(tmp_path: Path) -> None:
    (snapshot,) = save_trajectory(tmp_path, 1)
    for step in range(2, SNAPSHOTS + 1):
        save_file(dict(snapshot), tmp_path / f"step_{step:03d}.safetensors")
    same = opened(tmp_path)
    for table in far_out(5):
        same.write(table)
        assert all(torch.equal(value, snapshot[name]) for name, value in same.model.state_dict().items())


def test_a_row_that_does_not_sum_to_one_has_no_vector() -> None:
    row = np.full(SNAPSHOTS, 1.01 / SNAPSHOTS)
    assert SPACE.vector(CoefficientTable.of(row[None])) is None
    assert SPACE.vector(CoefficientTable.of(row[None] / 1.01)) is not None


def test_the_same_coefficients_are_the_same_weights(live: LiveModel) -> None:
    first, other = far_out(2)
    digests = []
    for table in (first, other, first):
        live.write(table)
        digests.append(digest(live))
    assert digests[0] == digests[2] != digests[1]


def test_wise_ft_is_a_merge_of_two(tmp_path: Path) -> None:
    """Zero-shot and fine-tuned at a = 0.75: coefficients 0.25 and 0.75."""
    zero_shot, tuned = save_trajectory(tmp_path, 2, moved=0.5)
    live = opened(tmp_path)
    live.write(CoefficientTable.of(np.array([[0.25, 0.75]])))
    merged: dict[str, Any] = live.model.state_dict()
    for name in (name for name in tuned if name not in CONSTANT):
        torch.testing.assert_close(merged[name], 0.25 * zero_shot[name] + 0.75 * tuned[name], rtol=0, atol=1e-6)
