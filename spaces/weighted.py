"""Weighted soups: members averaged by how well each of them does alone."""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from .table import FloatArray


def cocktail(losses: FloatArray, temperature: float = 5.0) -> FloatArray:
    """Weights w = softmax(-L / T), float64, `members` (LM-Cocktail, Xiao et al. 2023, https://arxiv.org/abs/2311.13534).

    The published T = 5 is close to the uniform soup, for losses of language models differ by a few nats at most.

    Args:
        losses: mean loss of each member, in nats, `members`.
        temperature: T; infinity weighs all alike, and towards zero only the best member counts.

    Raises:
        InputError: a loss is not finite, or the temperature not positive.
    """
    losses = np.asarray(losses, dtype=np.float64)
    if not np.isfinite(losses).all():
        raise InputError(f"the members' losses are {losses.tolist()}; give finite numbers")
    if not temperature > 0:
        raise InputError(f"a temperature of {temperature:g} weighs nothing; give a positive number such as 5")
    raw = np.exp((losses.min() - losses) / temperature)
    return np.asarray(raw / raw.sum(), dtype=np.float64)


def metric_weighted(metrics: FloatArray, power: float = 1.0) -> FloatArray:
    """Weights wᵢ ∝ mᵢ^ρ, float64, `members` (metrics-weighted averaging, Yu and Choi 2025, https://arxiv.org/abs/2504.18580).

    With mᵢ = exp(-Lᵢ) these are the weights of `cocktail` at T = 1/ρ. Members that all have nothing weigh alike.

    Args:
        metrics: of each member, higher is better, not negative; `members`.
        power: ρ, the paper's penalty; 0 weighs all alike, and towards infinity only the best member counts.

    Raises:
        InputError: a metric is negative or not finite, or the power is negative.
    """
    metrics = np.asarray(metrics, dtype=np.float64)
    if not (np.isfinite(metrics).all() and metrics.min() >= 0):
        raise InputError(f"the members' metrics are {metrics.tolist()}; give finite numbers that are not negative")
    if not power >= 0:
        raise InputError(f"a power of {power:g} favours the worst member; give zero or more")
    best = metrics.max()
    raw = (metrics / best if best > 0 else np.ones_like(metrics)) ** power
    return np.asarray(raw / raw.sum(), dtype=np.float64)
