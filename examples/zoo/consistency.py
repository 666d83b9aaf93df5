"""A small consistency model of the digits: noise to an image of a given digit, in one step or in several.

Configurations name `network`, `generate`, `images` and `reader` as functions of this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from digits import DigitClassifier, dataset, training_set
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import silu

WIDTH = 128
DEPTH = 4
FREQUENCIES = 16
LOWEST, HIGHEST = 0.02, 20.0  # standard deviations of the noise
SPREAD = 0.75  # standard deviation of the images


class ModulatedBlock(nn.Module):
    """Adds what a small MLP makes of its input, scaled and shifted by the condition; float32 (n, WIDTH) each."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.modulate = nn.Linear(WIDTH, 2 * WIDTH)
        self.expand = nn.Linear(WIDTH, WIDTH)
        self.contract = nn.Linear(WIDTH, WIDTH)

    def forward(self, hidden: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return hidden states of the same shape."""
        scale, shift = self.modulate(condition).chunk(2, dim=1)
        update: torch.Tensor = self.contract(silu(self.expand(self.norm(hidden) * (1 + scale) + shift)))
        return hidden + update


class ConsistencyModel(nn.Module):
    """Noisy images, float32 (n, 8, 8), to clean ones in [-1, 1] (Song et al. 2023, arXiv:2303.01469, equation 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(64, WIDTH)
        self.level = nn.Linear(2 * FREQUENCIES, WIDTH)
        self.digit = nn.Embedding(10, WIDTH)
        self.layers = nn.ModuleList(ModulatedBlock() for _ in range(DEPTH))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, 64)

    def forward(self, noisy: torch.Tensor, level: torch.Tensor, digits: torch.Tensor) -> torch.Tensor:
        """Return the images at the start of the noisy ones' paths; those at the lowest level are returned as they are.

        Args:
            noisy: Images with noise added.
            level: Standard deviation of that noise, float32 (n,).
            digits: Which digit each image shows, int64 (n,).
        """
        level = level[:, None]
        size = (level.square() + SPREAD**2).sqrt()
        condition = silu(self.level(_waves(level)) + self.digit(digits))
        hidden = self.embed(noisy.flatten(1) / size)
        for layer in self.layers:
            hidden = layer(hidden, condition)
        kept = SPREAD**2 / ((level - LOWEST).square() + SPREAD**2)
        change = SPREAD * (level - LOWEST) / size * self.head(self.norm(hidden))
        clean: torch.Tensor = (kept * noisy.flatten(1) + change).reshape(noisy.shape)
        return clean


class Reader(nn.Module):
    """What the digit classifier makes of images, float32 (n, 8, 8) in [0, 1], before its head: float32 (n, 128)."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.classifier = DigitClassifier()
        self.classifier.load_state_dict(load_file(weights))
        self.classifier.head = nn.Identity()  # type: ignore[assignment]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features."""
        features: torch.Tensor = self.classifier(images)
        return features


def network() -> ConsistencyModel:
    """Return the untrained model, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ConsistencyModel()


def reader(weights: str) -> Reader:
    """Return the feature extractor: the zoo's digit classifier, from the path of its weights."""
    return Reader(weights)


def images(part: str = "training") -> torch.Tensor:
    """Return real digits, float32 (n, 8, 8) in [0, 1]: the `training` images, or `others`, which nothing saw."""
    found: torch.Tensor = (training_set if part == "training" else dataset)("upright").tensors[0]
    return found


def generate(
    model: nn.Module,
    noise: torch.Tensor,
    labels: torch.Tensor,
    generators: Sequence[torch.Generator],
    levels: Sequence[float] = (),
) -> torch.Tensor:
    """Return images, float32 (n, 8, 8) in [0, 1] (Song et al. 2023, algorithm 1).

    Args:
        model: A consistency model.
        noise: Standard normal, float32 (n, 8, 8).
        labels: Which digits to draw, int64 (n,).
        generators: One for each image, which the noise of further steps is drawn from.
        levels: Noise levels to go back to for one further step each.
    """
    clean: torch.Tensor = model(HIGHEST * noise, noise.new_full((len(noise),), HIGHEST), labels)
    for level in levels:
        fresh = torch.stack([torch.randn(noise.shape[1:], generator=one) for one in generators]).to(noise.device)
        noisy = clean + math.sqrt(level**2 - LOWEST**2) * fresh
        clean = model(noisy, noise.new_full((len(noise),), level), labels)
    return ((clean + 1) / 2).clamp(0, 1)


def _waves(level: torch.Tensor) -> torch.Tensor:
    """Fourier features of noise levels, (n, 1) to (n, 2 * FREQUENCIES)."""
    rates = torch.linspace(math.log(0.3), math.log(20), FREQUENCIES, device=level.device).exp()
    angles = level.log() / 4 * rates
    return torch.cat([angles.cos(), angles.sin()], dim=1)
