"""Scores of every model on every task: kept as JSON, shown as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table


@dataclass(frozen=True)
class ScoreTable:
    """Accuracies, as fractions of 1.

    Attributes:
        scores: Model name → task name → accuracy.
        samples: Number of evaluation samples behind each accuracy.
    """

    scores: dict[str, dict[str, float]]
    samples: int

    @classmethod
    def load(cls, path: Path) -> ScoreTable:
        """Read a table that `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    def save(self, path: Path) -> None:
        """Write the table as JSON."""
        path.write_text(json.dumps({"scores": self.scores, "samples": self.samples}, indent=2), encoding="utf-8")

    def render(self, title: str) -> Table:
        """Lay the table out for the terminal: one row per model, one column per task, then the mean."""
        tasks = list(next(iter(self.scores.values())))
        table = Table(title=f"{title} ({self.samples} samples per task)", title_justify="left")
        table.add_column("model")
        for name in [*tasks, "mean"]:
            table.add_column(name, justify="right")
        for model, row in self.scores.items():
            values = [row[task] for task in tasks]
            table.add_row(model, *_percentages([*values, sum(values) / len(values)]))
        return table


def _percentages(values: Sequence[float]) -> list[str]:
    return [f"{100 * value:.1f} %" for value in values]
