"""Training and scoring of the digit classifier."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from digits import TRANSFORMS, dataset
from torch import nn
from torch.nn.functional import cross_entropy

Batch = tuple[torch.Tensor, torch.Tensor]


def batches(samples: Batch, size: int, seed: int) -> Iterator[Batch]:
    """Yield random batches, drawn with replacement, without end.

    Args:
        samples: Images, float32 (n, 8, 8), and digits, int64 (n,).
        size: Samples per batch.
        seed: Seed of the draws.
    """
    images, labels = samples
    generator = torch.Generator().manual_seed(seed)
    while True:
        drawn = torch.randint(len(labels), (size,), generator=generator)
        yield images[drawn], labels[drawn]


def step(model: nn.Module, optimiser: torch.optim.Optimizer, batch: Batch) -> None:
    """Take one optimiser step on the cross-entropy of a batch."""
    images, labels = batch
    optimiser.zero_grad()
    cross_entropy(model(images), labels).backward()
    optimiser.step()


@torch.inference_mode()
def accuracies(model: nn.Module, tasks: Iterable[str] = TRANSFORMS) -> dict[str, float]:
    """Return a model's accuracy on the evaluation samples of every task, as fractions of 1."""
    return {task: _accuracy(model, *dataset(task).tensors) for task in tasks}


def _accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    return float((model(images).argmax(dim=1) == labels).float().mean())
