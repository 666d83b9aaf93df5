"""What the benchmark scripts share: options, targets, and the record in RESULTS.md.

A script measures, prints a table, and holds its figures against targets. `--quick` measures less, `--json FILE`
writes the figures, `--check` exits with 1 and names every target that is missed, `--record` appends to RESULTS.md.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "RESULTS.md"
FIGURES = Path(__file__).parent.parent / "docs" / "figures"
_PACKAGES = ("torch", "numpy", "optuna", "transformers", "lm_eval")


@dataclass(frozen=True)
class Target:
    """A figure that must stay within a limit.

    Attributes:
        name: what is measured.
        figure: what came out.
        limit: what it may be.
        at_most: whether the limit is an upper one.
    """

    name: str
    figure: float
    limit: float
    at_most: bool = True

    @property
    def met(self) -> bool:
        """Whether the figure keeps the limit."""
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        return f"{self.name}: {self.figure:.3g} ({'meets' if self.met else 'misses'} {sign} {self.limit:g})"


@dataclass(frozen=True)
class Figure:
    """A drawing of the rows: its file's name in `docs/figures`, and what draws it, as PNG."""

    name: str
    draw: Callable[[], bytes]


@dataclass(frozen=True)
class Outcome:
    """What a benchmark found.

    Attributes:
        title: one line.
        rows: the table, one mapping of column to cell per row.
        targets: figures with limits; may be empty.
        note: what a reader must know to read the table.
        figure: drawn when the figures are recorded.
    """

    title: str
    rows: Sequence[Mapping[str, str | int | float]]
    targets: Sequence[Target]
    note: str = ""
    figure: Figure | None = None


def main(measure: Callable[[bool], Outcome], description: str) -> None:
    """Run one benchmark from the command line; `measure` is given whether to be quick."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="measure less; for trying the script out")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a target is missed")
    parser.add_argument("--record", action="store_true", help="append the figures to RESULTS.md")
    options = parser.parse_args()
    outcome = measure(options.quick)
    _show(outcome)
    if options.json:
        options.json.write_text(json.dumps(_plain(outcome), indent=1) + "\n", encoding="utf-8")
    if options.record:
        _record(outcome, options.quick)
    missed = [target for target in outcome.targets if not target.met]
    if options.check and missed:
        sys.exit("missed: " + "; ".join(map(str, missed)))


def _show(outcome: Outcome) -> None:
    console = Console()
    table = Table(*outcome.rows[0], title=outcome.title, title_justify="left")
    for row in outcome.rows:
        table.add_row(*map(_cell, row.values()))
    console.print(table)
    for target in outcome.targets:
        console.print(str(target), style="green" if target.met else "red")
    if outcome.note:
        console.print(outcome.note)


def _plain(outcome: Outcome) -> dict[str, object]:
    return {
        "title": outcome.title,
        "rows": [dict(row) for row in outcome.rows],
        "targets": [{**vars(target), "met": target.met} for target in outcome.targets],
        "machine": _machine(),
        "versions": _versions(),
    }


def _record(outcome: Outcome, quick: bool) -> None:
    columns = list(outcome.rows[0])
    lines = [
        f"\n## {outcome.title}{' (quick)' if quick else ''}\n",
        f"{date.today().isoformat()}; {_machine()}; {', '.join(f'{k} {v}' for k, v in _versions().items())}\n",
        "| " + " | ".join(columns) + " |",
        "|" + " --- |" * len(columns),
        *("| " + " | ".join(map(_cell, row.values())) + " |" for row in outcome.rows),
        "",
        *(f"- {target}" for target in outcome.targets),
        *([f"\n{outcome.note}"] if outcome.note else []),
    ]
    if outcome.figure:
        FIGURES.mkdir(exist_ok=True)
        (FIGURES / outcome.figure.name).write_bytes(outcome.figure.draw())
        lines.append(f"\n![{outcome.title}](../docs/figures/{outcome.figure.name})")
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")


def _machine() -> str:
    threads = os.environ.get("OMP_NUM_THREADS", "default")
    return f"{platform.machine()}, {os.cpu_count()} cores, {threads} threads, Python {platform.python_version()}"


def _versions() -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in _PACKAGES}


def _cell(value: str | int | float) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
