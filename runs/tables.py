"""Trials and front as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from .forecasts import add_forecasts
from .plan import Plan
from .proposals import mean_weights
from .record import TrialRecord
from .results import Results
from .score_files import ScoreFiles
from .shortlist import front_of


def trials_table(
    plan: Plan, records: Sequence[TrialRecord], results: Results | None, files: ScoreFiles
) -> pd.DataFrame:
    """One row per trial: origin, state, every objective with its standard error, held-out scores, coefficients.

    Columns `<objective>`, `<objective> se`, and, where a trial was re-scored, `<objective> held-out` and
    `<objective> held-out se` (for the elite, where fresh samples were kept, also `<objective> fresh`); `mean`,
    `mean held-out` and `mean fresh` are weighted; see `Objectives.mean_sign`. One column per group and member holds
    the coefficient. Where the searcher predicted trials before they were evaluated, `<objective> predicted` (or
    `mean predicted`) stands beside.
    """
    rows = [_row(plan, record, files, results) for record in records]
    table = pd.DataFrame(rows)
    if len(table) and any(record.complete for record in records):
        _add_means(table, plan, mean_weights(plan.objectives, records, plan.baselines))
        add_forecasts(table, plan, results.predicted if results else {})
        table.insert(3, "front", table["trial"].isin(front_numbers(plan, records, results)))
    return table


def front_numbers(plan: Plan, records: Sequence[TrialRecord], results: Results | None) -> list[int]:
    """Trials on the front, best searched mean first: the front that was judged, or the one so far."""
    if results is not None and results.trials == len(records):
        return list(results.chosen.front)
    weights = mean_weights(plan.objectives, records, plan.baselines)
    return [record.number for record in front_of(plan.objectives, records, weights)]


def front_table(trials: pd.DataFrame, front: Sequence[int]) -> pd.DataFrame:
    """The rows of the front, best searched mean first."""
    return trials.set_index("trial").loc[list(front)].reset_index() if len(trials) else trials


def brief(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """What a person reads: every objective as `search → held-out ± error`, and the two weighted means.

    The error is one standard error of the held-out score, or of the search score where nothing was held out.
    """
    shown = table[["trial", "origin"]].copy()
    for name in plan.objectives.names:
        shown[name] = [_cell(row, name) for row in table.to_dict("records")]
    for label in ("mean", "mean fresh", "mean held-out"):
        if label in table and table[label].notna().any():
            pairs = zip(table[label], table[f"{label} se"], strict=True)
            shown[label] = [f"{value:.4f} ± {error:.4f}" if np.isfinite(value) else "" for value, error in pairs]
    return shown


def glance(table: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """What a terminal has room for: every objective's held-out score, and the weighted means.

    A score in brackets is of search samples: that trial was not re-scored. The error is one standard error.
    """
    metrics = {objective.metric for objective in plan.objectives.each}
    shown = table[["trial", "origin"]].copy()
    for objective in plan.objectives.each:
        title = objective.task if len(metrics) == 1 else objective.name
        shown[title] = [_short_cell(row, objective.name) for row in table.to_dict("records")]
    if "mean held-out" in table:
        pairs = zip(table["mean held-out"], table["mean held-out se"], strict=True)
        shown["mean"] = [f"{value:.3f} ± {error:.3f}" if np.isfinite(value) else "" for value, error in pairs]
    if "mean" in table:
        shown["searched"] = [f"{value:.3f}" if np.isfinite(value) else "" for value in table["mean"]]
    return shown


def _short_cell(row: Mapping[Any, Any], name: str) -> str:
    held_out = row.get(f"{name} held-out", np.nan)
    if np.isfinite(held_out):
        return f"{held_out:.3f}"
    return f"({row[name]:.3f})" if np.isfinite(row[name]) else ""


def baseline_rows(trials: pd.DataFrame, plan: Plan, results: Results | None) -> pd.DataFrame:
    """The canonical points, and the soup that the greedy pass ended with, which may be one of them."""
    canonical = trials["origin"].isin(plan.baselines)
    greedy = trials["trial"] == (results.chosen.rivals.get("greedy soup", -1) if results else -1)
    names = trials["origin"].where(~greedy | canonical, "greedy soup")
    names = names.where(~(greedy & canonical), trials["origin"] + " = greedy soup")
    return trials.assign(origin=names)[canonical | greedy]


def _cell(row: Mapping[Any, Any], name: str) -> str:
    value, held_out = row[name], row.get(f"{name} held-out", np.nan)
    if not np.isfinite(value):
        return ""
    if not np.isfinite(held_out):
        return f"{value:.3f} ± {row[f'{name} se']:.3f}"
    return f"{value:.3f} → {held_out:.3f} ± {row[f'{name} held-out se']:.3f}"


def _row(plan: Plan, record: TrialRecord, files: ScoreFiles, results: Results | None) -> dict[str, object]:
    row: dict[str, object] = {
        "trial": record.number,
        "origin": record.proposal.origin,
        "state": "complete" if record.complete else f"failed: {record.reason}",
    }
    scored = plan.objectives.names if record.complete else []
    for name, value, error in zip(scored, record.values or (), record.errors, strict=True):
        row |= {name: value, f"{name} se": error}
    for label, keys in {"fresh": results.fresh, "held-out": results.held_out}.items() if results else ():
        row |= _later(plan, files, keys.get(record.number), label)
    row["seconds"] = round(record.seconds, 3)
    table = record.proposal.table.members
    for group, coefficients in zip(plan.groups, table, strict=True):
        row |= {f"{group} | {member}": value for member, value in zip(plan.members, coefficients, strict=True)}
    return row


def _later(plan: Plan, files: ScoreFiles, key: str | None, label: str) -> Mapping[str, object]:
    scores = files.load(key) if key else None
    if scores is None:
        return {}
    cells: dict[str, object] = {}
    for name, one in zip(plan.objectives.names, plan.objectives.pick(scores), strict=True):
        cells |= {f"{name} {label}": one.value, f"{name} {label} se": one.stderr}
    return cells


def _add_means(table: pd.DataFrame, plan: Plan, weights: np.ndarray) -> None:
    oriented = plan.objectives.mean_sign * weights * plan.objectives.signs
    for label in ("", " fresh", " held-out"):
        columns = [f"{name}{label}" for name in plan.objectives.names]
        if all(column in table for column in columns):
            table[f"mean{label}"] = table[columns].to_numpy(dtype=np.float64) @ oriented
            errors = table[[f"{column} se" for column in columns]].to_numpy(dtype=np.float64)
            table[f"mean{label} se"] = plan.objectives.mean_errors(weights, errors)
