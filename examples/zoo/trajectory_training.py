"""One training run of the digit classifier on all tasks together, kept as snapshots.

Its learning rate stays high and its batches stay small: the weights keep jumping about the minimum,
so the average of the last snapshots is better than any one of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from classifier_fit import Batch, accuracies, batches, step
from digits import TRANSFORMS, dataset, network, training_set
from safetensors.torch import save_file
from score_table import ScoreTable
from zoo_cache import Recipe


@dataclass(frozen=True)
class TrajectoryRecipe(Recipe):
    """Hyper-parameters of the run: stochastic gradient descent at a constant learning rate."""

    batch_size: int = 16
    learning_rate: float = 0.05
    momentum: float = 0.9
    snapshots: int = 20
    steps_between: int = 100


def train_trajectory(recipe: TrajectoryRecipe, announce: Callable[[str], None], folder: Path) -> ScoreTable:
    """Train once, writing `step_<number>.safetensors` at regular steps.

    Args:
        recipe: The hyper-parameters.
        announce: Called with one line of progress before the training.
        folder: Existing folder to write the snapshots to.

    Returns:
        The accuracy of every snapshot on every task.
    """
    announce("trajectory: training one run")
    model = network()
    optimiser = torch.optim.SGD(model.parameters(), lr=recipe.learning_rate, momentum=recipe.momentum)
    stream = batches(_all_tasks(), recipe.batch_size, recipe.seed)
    scores = {}
    for snapshot in range(1, recipe.snapshots + 1):
        for batch in islice(stream, recipe.steps_between):
            step(model, optimiser, batch)
        name = f"step_{snapshot * recipe.steps_between:05d}"
        scores[name] = accuracies(model)
        save_file(model.state_dict(), folder / f"{name}.safetensors")
    return ScoreTable(scores, samples=len(dataset("upright")))


def _all_tasks() -> Batch:
    images, labels = zip(*(training_set(task).tensors for task in TRANSFORMS), strict=True)
    return torch.cat(images), torch.cat(labels)
