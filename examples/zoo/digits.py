"""A residual MLP and the transformed digits that its experts are trained on.

Configurations name `network` and `dataset` as functions of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import TensorDataset

WIDTH = 128
DEPTH = 4
TRAINING_SAMPLES = 897

# Each transform maps images, float32 (n, 8, 8) in [0, 1], to images of the same shape.
TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "upright": lambda images: images,
    "rotate": lambda images: images.rot90(1, dims=(1, 2)),
    "flip": lambda images: images.flip(2),
    "invert": lambda images: 1 - images,
    "shift": lambda images: images.roll(2, dims=1),
}
# Tasks of four further experts, for searches among eight.
FURTHER_TRANSFORMS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "half_turn": lambda images: images.rot90(2, dims=(1, 2)),
    "turn_back": lambda images: images.rot90(3, dims=(1, 2)),
    "upend": lambda images: images.flip(1),
    "transpose": lambda images: images.transpose(1, 2),
}
_TASKS = TRANSFORMS | FURTHER_TRANSFORMS


class ResidualBlock(nn.Module):
    """Adds to its input what a small MLP makes of it; float32 (n, WIDTH) in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.expand = nn.Linear(WIDTH, WIDTH)
        self.contract = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return hidden states of the same shape."""
        update: torch.Tensor = self.contract(torch.relu(self.expand(self.norm(hidden))))
        return hidden + update


class DigitClassifier(nn.Module):
    """A residual MLP: images, float32 (n, 8, 8), to logits, float32 (n, 10)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(64, WIDTH)
        self.layers = nn.ModuleList(ResidualBlock() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits of the ten digits."""
        hidden = self.embed(images.flatten(1))
        for layer in self.layers:
            hidden = layer(hidden)
        logits: torch.Tensor = self.head(self.norm(hidden))
        return logits


def network() -> DigitClassifier:
    """Return the untrained network, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DigitClassifier()


def dataset(task: str) -> TensorDataset:
    """Return a task's 900 evaluation samples, none of which is trained on.

    Args:
        task: A key of `TRANSFORMS` or `FURTHER_TRANSFORMS`.

    Returns:
        Pairs of an image, float32 (8, 8) in [0, 1], and its digit, int64.
    """
    images, labels = _shuffled_digits()
    return TensorDataset(_TASKS[task](images[TRAINING_SAMPLES:]), labels[TRAINING_SAMPLES:])


def training_set(task: str) -> TensorDataset:
    """Return a task's 897 training samples, as pairs like those of `dataset`."""
    images, labels = _shuffled_digits()
    return TensorDataset(_TASKS[task](images[:TRAINING_SAMPLES]), labels[:TRAINING_SAMPLES])


@cache
def _shuffled_digits() -> tuple[torch.Tensor, torch.Tensor]:
    digits = load_digits()
    order = torch.randperm(len(digits.target), generator=torch.Generator().manual_seed(0))
    images = torch.tensor(digits.images, dtype=torch.float32) / 16
    return images[order], torch.tensor(digits.target, dtype=torch.int64)[order]
