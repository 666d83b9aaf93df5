"""One training run of the consistency model, kept as snapshots: its weights keep jumping, as such models' do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from classifier_fit import Batch, batches
from consistency import HIGHEST, LOWEST, ConsistencyModel, generate, network
from digits import DigitClassifier, training_set
from safetensors.torch import load_file, save_file
from score_table import ScoreTable
from zoo_cache import Recipe

SCORED = 1000  # images per snapshot that the classifier reads
HUBER = 0.00054 * math.sqrt(64)


@dataclass(frozen=True)
class ConsistencyRecipe(Recipe):
    """Hyper-parameters of the run: consistency training (Song & Dhariwal 2023, arXiv:2310.14189) with RAdam.

    Attributes:
        steps: Number of optimiser steps; snapshots are taken of the last ones.
        fewest: Number of noise levels at first; it is doubled at regular steps,
        most: up to this number, which it has in the second half of the run.
    """

    batch_size: int = 64
    learning_rate: float = 1e-3
    steps: int = 6000
    fewest: int = 10
    most: int = 80
    snapshots: int = 30
    steps_between: int = 100

    def levels(self, step: int) -> torch.Tensor:
        """Return the noise levels of a step (from 0), ascending (Karras et al. 2022, equation 5)."""
        stages = math.log2(self.most / self.fewest)
        count = min(self.fewest * 2 ** int(step * 2 * stages / self.steps), self.most) + 1
        low, high = LOWEST ** (1 / 7), HIGHEST ** (1 / 7)
        levels: torch.Tensor = (low + torch.arange(count) / (count - 1) * (high - low)) ** 7
        return levels


def train_consistency(
    recipe: ConsistencyRecipe, announce: Callable[[str], None], classifier: Path, folder: Path
) -> ScoreTable:
    """Train once, writing `step_<number>.safetensors` at regular steps.

    Args:
        recipe: The hyper-parameters.
        announce: Called with one line of progress before the training.
        classifier: The digit classifier's weights.
        folder: Existing folder to write the snapshots to.

    Returns:
        For every snapshot, the share of images drawn in one and in two steps that the classifier reads as asked for.
    """
    announce("consistency: training one run")
    judge = DigitClassifier()
    judge.load_state_dict(load_file(classifier))
    model = network()
    optimiser = torch.optim.RAdam(model.parameters(), lr=recipe.learning_rate)
    images, labels = training_set("upright").tensors
    stream = batches((2 * images - 1, labels), recipe.batch_size, recipe.seed)
    chance = torch.Generator().manual_seed(recipe.seed)
    scores = {}
    for step, batch in enumerate(islice(stream, recipe.steps), start=1):
        optimiser.zero_grad()
        _loss(model, batch, recipe.levels(step - 1), chance).backward()
        optimiser.step()
        before_end, rest = divmod(recipe.steps - step, recipe.steps_between)
        if before_end < recipe.snapshots and not rest:
            scores[f"step_{step:05d}"] = _legible(model, judge)
            save_file(model.state_dict(), folder / f"step_{step:05d}.safetensors")
    return ScoreTable(scores, samples=SCORED)


def _loss(model: ConsistencyModel, batch: Batch, levels: torch.Tensor, chance: torch.Generator) -> torch.Tensor:
    """Distance between what the model makes of an image at two neighbouring noise levels, with the same noise."""
    images, digits = batch
    # Levels are drawn log-normally, with mean -1.1 and deviation 2 of their logarithm.
    cumulative = torch.special.ndtr((levels.log() + 1.1) / 2)
    lower = torch.multinomial(cumulative.diff(), len(images), replacement=True, generator=chance)
    noise = torch.randn(images.shape, generator=chance)
    below, above = levels[lower], levels[lower + 1]
    with torch.no_grad():
        target = model(images + below[:, None, None] * noise, below, digits)
    found = model(images + above[:, None, None] * noise, above, digits)
    distance = ((found - target).square().sum(dim=(1, 2)) + HUBER**2).sqrt() - HUBER
    mean: torch.Tensor = (distance / (above - below)).mean()
    return mean


@torch.no_grad()
def _legible(model: ConsistencyModel, judge: DigitClassifier) -> dict[str, float]:
    digits = torch.arange(SCORED) % 10
    noise = torch.randn(SCORED, 8, 8, generator=torch.Generator().manual_seed(0))
    scores = {}
    for name, levels in {"one step": (), "two steps": (0.8,)}.items():
        generators = [torch.Generator().manual_seed(1 + number) for number in range(SCORED)]
        drawn = judge(generate(model, noise, digits, generators, levels)).argmax(dim=1)
        scores[name] = float((drawn == digits).float().mean())
    return scores
