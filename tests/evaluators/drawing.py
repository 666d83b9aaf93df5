"""A tiny generator of points, real points, and a feature extractor, for evaluators of generative models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.utils.data import Dataset

CALLS: list[int] = []  # sizes of the batches that an extractor was given


class Features(torch.nn.Module):
    """A frozen random layer: points, `batch x 3`, to features, `batch x 5`."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layer = torch.nn.Linear(3, 5)

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        """Features of a batch."""
        CALLS.append(len(points))
        found: torch.Tensor = self.layer(points).tanh()
        return found


class Pairs(Dataset[Any]):
    """Points with labels."""

    def __init__(self, count: int) -> None:
        self.points = points(count)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> Any:
        return self.points[row], row % 2


def features(seed: int = 0) -> Features:
    """The extractor."""
    return Features(seed)


def points(count: int = 50, shift: float = 0.0) -> torch.Tensor:
    """Real points, `count x 3`."""
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(3)) + shift


def pairs(count: int = 50) -> Pairs:
    """The same as a dataset of (point, label)."""
    return Pairs(count)


def draw(model: Any, noise: torch.Tensor) -> torch.Tensor:
    """One point per row of noise."""
    drawn: torch.Tensor = model(noise)
    return drawn


def draw_in_steps(
    model: Any, noise: torch.Tensor, labels: torch.Tensor, generators: Sequence[torch.Generator], steps: int = 3
) -> torch.Tensor:
    """Points of their classes, with fresh noise at every step."""
    drawn: torch.Tensor = model(noise)
    for _ in range(steps):
        drawn = drawn + torch.stack([torch.randn(3, generator=one) for one in generators]) + labels[:, None]
    return drawn


def network() -> torch.nn.Module:
    """An untrained generator, noise `batch x 6` to points `batch x 3`."""
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
