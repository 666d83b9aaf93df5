"""Tables in the width of a terminal."""

from __future__ import annotations

import re

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..outcome.judging import AGAINST, TIED
from ..plan import Plan
from .reading import glance

_BOUNDLESS = 10_000
_LEGEND = {
    "trial": "scores of held-out samples ± standard error; (scores) and 'searched' of search samples",
    AGAINST: f"{AGAINST}: is its mean worse, better, or within noise (tie)? paired, 95 %",
    TIED: f"{TIED}: others of the front from which it differs in no objective",
}


def legend(front: pd.DataFrame, plan: Plan) -> str:
    """What the columns of `reading.glance` mean, of those that the whole front has."""
    shown = glance(front, plan, len(front))
    return "\n".join(text for column, text in _LEGEND.items() if column in shown)


def fitted(shown: pd.DataFrame, console: Console, title: str | None = None) -> Table:
    """A table of text, in one line per row where it fits; else errors stand below scores, and headers break."""
    table = _drawn(shown, title, narrow=False)
    boundless = console.options.update(max_width=_BOUNDLESS)  # otherwise every table is said to fit
    if Measurement.get(console, boundless, table).minimum <= console.width:
        return table
    return _drawn(shown, title, narrow=True)


def _drawn(shown: pd.DataFrame, title: str | None, narrow: bool) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 0 if narrow else 1, 0, 0))
    if narrow:
        table.show_edge, table.caption = False, " "  # two columns more; the line below that the edge was
    columns = {name: [str(cell) for cell in shown[name]] for name in map(str, shown)}
    for name, cells in columns.items():
        # Where room is short, origins and headers break, numbers never.
        parts = [part for cell in cells for part in (cell.split() if name == "origin" else _stacked(cell, narrow))]
        longest = max(map(len, parts), default=0)
        table.add_column(Text(_header(name, longest) if narrow else name), overflow="fold", min_width=longest)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*(Text("\n".join(_stacked(cell, narrow))) for cell in row))
    return table


def _stacked(cell: str, narrow: bool) -> list[str]:
    """The lines of a cell: where room is short a score, its error, and the part of the samples."""
    return re.split(r" (?=[±(])", cell.replace("± ", "±")) if narrow else [cell]


def _header(name: str, width: int) -> str:
    """A column's name in lines, broken behind spaces and signs where it is wider than `width`."""
    lines = [""]
    for piece in re.findall(r"[^\s_/]+[\s_/]?", name):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
