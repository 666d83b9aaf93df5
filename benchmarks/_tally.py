"""How often intervals held the truth, counted over simulated runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass
class Tally:
    """Counts by what the intervals are of, and errors of estimates, by what they estimate."""

    held: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    asked: Counter[str] = field(default_factory=Counter)
    errors: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def count(self, name: str, held: float, error: float | None = None) -> None:
        """Count one interval, or the right part of some; `error` is by how much its estimate is above the truth."""
        self.held[name] += held
        self.asked[name] += 1
        if error is not None:
            self.errors[name].append(error)

    @property
    def coverage(self) -> Mapping[str, float]:
        """Share of the intervals that held the truth."""
        return {name: self.held[name] / asked for name, asked in self.asked.items()}

    @property
    def bias(self) -> Mapping[str, float]:
        """Mean error of the estimates."""
        return {name: float(np.mean(each)) for name, each in self.errors.items()}


class Study(Protocol):
    """A kind of simulated run: `str` says which, briefly."""

    @property
    def samples(self) -> int:
        """Number of samples of a task."""

    def run(self, generator: np.random.Generator, tally: Tally) -> None:
        """Simulate one run, with a truth of its own, and count its intervals."""
