"""A very small digit classifier with three experts, trained on the spot: the runs' test bed."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

TASKS = ("upright", "flip", "invert")


class Network(nn.Module):
    """Images, float32 (n, 64), to logits (n, 10), through two blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(64, 24)
        self.layers = nn.ModuleList(nn.Linear(24, 24) for _ in range(2))
        self.head = nn.Linear(24, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        hidden = torch.relu(self.embed(images))
        for layer in self.layers:
            hidden = hidden + torch.relu(layer(hidden))
        logits: torch.Tensor = self.head(hidden)
        return logits


def network() -> Network:
    """The untrained network, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Network()


def other_network() -> Network:
    """The same with another width: another architecture."""
    built = network()
    built.embed = nn.Linear(64, 25)
    return built


def dataset(task: str) -> TensorDataset:
    """200 pairs of an image, float32 (64,), and its digit."""
    images, labels = _data(task)
    return TensorDataset(images[-200:], labels[-200:])


def empty_dataset() -> TensorDataset:
    """A dataset without samples."""
    return TensorDataset(torch.empty(0, 64), torch.empty(0, dtype=torch.long))


def wide_dataset() -> TensorDataset:
    """Labels of more classes than the network tells apart."""
    return TensorDataset(_data("upright")[0][:11], torch.arange(11))


def failing_dataset() -> TensorDataset:
    """A dataset that cannot be loaded."""
    raise FileNotFoundError("no data here")


def train(folder: Path) -> Path:
    """Train base and experts into `folder`, as safetensors files."""
    base = _fit(network().state_dict(), "upright", steps=60)
    save_file(base, folder / "base.safetensors")
    for task in TASKS:
        save_file(_fit(base, task, steps=40), folder / f"{task}.safetensors")
    return folder


def _fit(start: dict[str, torch.Tensor], task: str, steps: int) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = network()
        model.load_state_dict(start)
        images, labels = _data(task)
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(steps):
            rows = torch.randint(1500, (128,))
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def _data(task: str) -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    changed = {"upright": images, "flip": images.flip(2), "invert": 1 - images}[task]
    return changed.flatten(1), torch.tensor(digits.target)
