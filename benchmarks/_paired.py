"""Differences paired by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

T_95 = {10: 2.262, 3: 4.303}  # Student's t for a 95 % interval, by number of seeds


def gain(theirs: Sequence[float], ours: Sequence[float]) -> tuple[float, float]:
    """Mean of theirs minus ours, paired, and half its 95 % interval."""
    gains = np.subtract(theirs, ours)
    return float(gains.mean()), float(T_95[len(gains)] * gains.std(ddof=1) / np.sqrt(len(gains)))
