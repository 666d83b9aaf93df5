"""A base that reads upright digits, and experts that read them rotated, flipped, inverted or shifted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from classifier_fit import accuracies, batches, step
from digits import FURTHER_TRANSFORMS, TRANSFORMS, dataset, network, training_set
from safetensors.torch import load_file, save_file
from score_table import ScoreTable
from torch import nn
from zoo_cache import Recipe

BASE_TASK = "upright"


@dataclass(frozen=True)
class DigitsRecipe(Recipe):
    """Hyper-parameters of the base and of its experts, all trained with AdamW."""

    batch_size: int = 64
    base_steps: int = 600
    base_learning_rate: float = 1e-3
    expert_steps: int = 200
    expert_learning_rate: float = 3e-4


def train_digits(recipe: DigitsRecipe, announce: Callable[[str], None], folder: Path) -> ScoreTable:
    """Train the base and one expert for each other task, each written as a safetensors file.

    Args:
        recipe: The hyper-parameters.
        announce: Called with one line of progress before each training.
        folder: Existing folder to write `base.safetensors` and `<task>.safetensors` to.

    Returns:
        The accuracy of every model on every task.
    """
    announce("digits: training base")
    model = network()
    _fit(model, BASE_TASK, recipe.base_steps, recipe.base_learning_rate, recipe)
    base = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    scores = {"base": accuracies(model)}
    save_file(base, folder / "base.safetensors")
    for task in [name for name in TRANSFORMS if name != BASE_TASK]:
        announce(f"digits: training {task}")
        scores[task] = accuracies(_expert(base, task, recipe, folder))
    return ScoreTable(scores, samples=len(dataset(BASE_TASK)))


@dataclass(frozen=True)
class FurtherDigitsRecipe(DigitsRecipe):
    """The same hyper-parameters, for experts that are trained from a base that is there already."""


def train_further_digits(
    recipe: FurtherDigitsRecipe, announce: Callable[[str], None], base_file: Path, folder: Path
) -> ScoreTable:
    """Train one further expert for each task of `FURTHER_TRANSFORMS`, each written as a safetensors file.

    Args:
        recipe: The hyper-parameters; those of the base must be the ones that it was trained with.
        announce: Called with one line of progress before each training.
        base_file: The base that `train_digits` wrote.
        folder: Existing folder to write `<task>.safetensors` to.

    Returns:
        The accuracy of every new expert on all nine tasks.
    """
    base, tasks, scores = load_file(base_file), [*TRANSFORMS, *FURTHER_TRANSFORMS], {}
    for task in FURTHER_TRANSFORMS:
        announce(f"digits: training {task}")
        scores[task] = accuracies(_expert(base, task, recipe, folder), tasks)
    return ScoreTable(scores, samples=len(dataset(BASE_TASK)))


def _expert(base: dict[str, torch.Tensor], task: str, recipe: DigitsRecipe, folder: Path) -> nn.Module:
    model = network()
    model.load_state_dict(base)
    _fit(model, task, recipe.expert_steps, recipe.expert_learning_rate, recipe)
    save_file(model.state_dict(), folder / f"{task}.safetensors")
    return model


def _fit(model: nn.Module, task: str, steps: int, learning_rate: float, recipe: DigitsRecipe) -> None:
    optimiser = torch.optim.AdamW(model.parameters(), lr=learning_rate)
    images, labels = training_set(task).tensors
    for batch in islice(batches((images, labels), recipe.batch_size, recipe.seed), steps):
        step(model, optimiser, batch)
