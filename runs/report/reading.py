"""Tables as a person reads them: in the report, and in the width of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..outcome.judging import AGAINST, TIED
from ..plan import Plan

Row = Mapping[Any, Any]

_SOME = 6  # tied trials that are named; front.csv names them all


def brief(table: pd.DataFrame, plan: Plan, front: int) -> pd.DataFrame:
    """What the report shows: every objective and the weighted mean as `search → held-out [95 % interval]`, and ties.

    A score of a part of the samples is an estimate, and is followed by the part: `0.512 (25 %)`.

    Args:
        table: rows of `tables.trials_table`.
        plan: the run's.
        front: number of trials on the front, shown or not.
    """
    rows = table.to_dict("records")
    shown = table[["trial", "origin"]].copy()
    for name in [*plan.objectives.names, "mean"]:
        shown[name] = [_cell(row, name) for row in rows]
    if "mean fresh" in table and table["mean fresh"].notna().any():
        pairs = zip(table["mean fresh"], table["mean fresh se"], strict=True)
        shown["mean fresh"] = [f"{value:.4f} ± {error:.4f}" if np.isfinite(value) else "" for value, error in pairs]
    return _with_ties(shown, table, front, named=_SOME)


def glance(table: pd.DataFrame, plan: Plan, front: int) -> pd.DataFrame:
    """What a terminal has room for: every objective's held-out score, the weighted means, and ties.

    A score in brackets is of search samples: that trial was not re-scored. All have one standard error. With one
    objective the mean is no column of its own. The arguments are those of `brief`.
    """
    rows = table.to_dict("records")
    metrics = {objective.metric for objective in plan.objectives.each}
    shown = table[["trial", "origin"]].copy()
    for objective in plan.objectives.each:
        title = objective.task if len(metrics) == 1 else objective.name
        shown[title] = [_short_cell(row, objective.name) for row in rows]
    if "mean held-out" in table and len(plan.objectives.each) > 1:
        shown["mean"] = [_with_error(row, "mean held-out") for row in rows]
    if "mean" in table:
        shown["searched"] = [_with_error(row, "mean") + part(row["samples"]) for row in rows]
    return _with_ties(shown, table, front, named=0)


def part(samples: float) -> str:
    """` (25 %)` behind a score of a part of the samples; nothing behind one of all of them."""
    return f" ({100 * samples:.0f} %)" if 0 < samples < 1 else ""


def _with_ties(shown: pd.DataFrame, table: pd.DataFrame, front: int, named: int) -> pd.DataFrame:
    """Add the columns on ties, where there are any; of the trials tied with, so many by number."""
    if AGAINST not in table or not table[AGAINST].any():
        return shown
    shown.insert(2, AGAINST, table[AGAINST])
    judged = table["front"] & (table[AGAINST] != "")
    if judged.any() and front > 1:
        pairs = zip(judged, table[TIED], strict=True)
        shown.insert(3, TIED, [_tied(tied.split(), front - 1, named) if on else "" for on, tied in pairs])
    return shown


def _tied(numbers: list[str], others: int, named: int) -> str:
    """`none`, `all 7`, or `3 of 7: 12, 15, 20`."""
    if len(numbers) in (0, others):
        return f"all {others}" if numbers else "none"
    some = ", ".join(numbers[:named]) + (", …" if len(numbers) > named else "")
    return f"{len(numbers)} of {others}" + (f": {some}" if named else "")


def _cell(row: Row, name: str) -> str:
    value, held_out = row[name], row.get(f"{name} held-out", np.nan)
    if not np.isfinite(value):
        return ""
    low, high = row.get(f"{name} low", np.nan), row.get(f"{name} high", np.nan)
    shown = f"{value:.3f}{part(row['samples'])}" + (f" → {held_out:.3f}" if np.isfinite(held_out) else "")
    return f"{shown} [{low:.3f}, {high:.3f}]" if low == low else f"{shown} ± {row[f'{name} se']:.3f}"


def _short_cell(row: Row, name: str) -> str:
    if np.isfinite(row.get(f"{name} held-out", np.nan)):
        return _with_error(row, f"{name} held-out")
    return f"({_with_error(row, name)}{part(row['samples'])})" if np.isfinite(row[name]) else "failed"


def _with_error(row: Row, name: str) -> str:
    return f"{row[name]:.3f} ± {row[f'{name} se']:.3f}" if np.isfinite(row[name]) else ""
