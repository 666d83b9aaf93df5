"""EMA: the coefficients with which a run's snapshots make up an exponential moving average of its weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .table import FloatArray


def ema_row(steps: Sequence[int], rate: float) -> FloatArray:
    """Coefficients of the EMA with `rate` per training step, float64, `snapshots`, oldest first; they sum to one.

    The average starts as the oldest snapshot, and moves towards each further one for the gap before it. So αᵢ is
    (1 - gᵢ) times the gₘ of all later snapshots, with gᵢ = γ^(nᵢ - nᵢ₋₁), and the oldest keeps the rest. With gaps of 1
    that is the recursion θ̄ ← γ·θ̄ + (1 - γ)·θ itself.

    Args:
        steps: training step of each snapshot, ascending.
        rate: γ, the part that is kept per step, between 0 and 1.

    Raises:
        InputError: the steps do not ascend, or the rate is not between 0 and 1.
    """
    gaps = np.diff(np.asarray(steps, dtype=np.float64))
    if not len(steps) or not (gaps > 0).all():
        raise InputError(f"steps are {list(steps)}; give one for each snapshot, ascending")
    if not 0 < rate < 1:
        raise InputError(f"the EMA's rate is {rate}; give a number between 0 and 1, such as 0.999")
    exponents = gaps * np.log(rate)
    later = np.append(np.exp(np.cumsum(exponents[::-1])[::-1]), 1.0)  # Π gₘ over all later m, 1 for the last
    return np.asarray(later * np.append(1.0, -np.expm1(exponents)), dtype=np.float64)


def ema_rates(steps: Sequence[int]) -> list[float]:
    """Rates 1 - 1/τ for τ = 2, 5, 10, 20, 50, … steps, from the snapshots' usual gap to the length of the run."""
    if len(steps) < 2:
        return []
    gap, length = float(np.median(np.diff(steps))), steps[-1] - steps[0]
    spans = [digit * 10**power for power in range(len(str(length))) for digit in (1, 2, 5)]
    return [round(1 - 1 / span, 12) for span in spans if span > 1 and gap <= span <= length]
