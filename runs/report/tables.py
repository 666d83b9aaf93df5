"""Trials and front as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ..outcome.forecasts import add_forecasts
from ..outcome.judging import Judged, judged_scores
from ..outcome.means import WeightedMean
from ..outcome.results import Results
from ..outcome.shortlist import front_of
from ..plan import Plan
from ..proposals import mean_weights
from ..record import TrialRecord
from ..score_files import ScoreFiles


def trials_table(
    plan: Plan, records: Sequence[TrialRecord], results: Results | None, files: ScoreFiles
) -> pd.DataFrame:
    """One row per trial: origin, state, every objective with its standard error, held-out scores, coefficients.

    `samples` is the share of the search's samples that a trial's scores rest on: below 1 it was stopped early, and its
    scores are estimates.

    Columns `<objective>`, `<objective> se`, and, where a trial was re-scored, `<objective> held-out` and
    `<objective> held-out se` (for the elite, where fresh samples were kept, also `<objective> fresh`); `mean`,
    `mean held-out` and `mean fresh` are weighted; see `Objectives.mean_sign`. `<objective> low` and `high` are the ends
    of the 95 % interval of the held-out score; where nothing was held out, of the search score of front and baselines.
    By the same scores `against winner` says how a trial's mean compares, and `tied with` from which others of the front
    it cannot be told; see `ties`. One column per group and member holds the coefficient. Where the searcher predicted
    trials before they were evaluated, `<objective> predicted` (or `mean predicted`) stands beside.
    """
    table = pd.DataFrame([_row(plan, record, files, results) for record in records])
    if not len(table) or not any(record.complete for record in records):
        return table
    mean = WeightedMean(plan.objectives, mean_weights(plan.objectives, records, plan.baselines))
    _add_means(table, mean)
    add_forecasts(table, plan, results.predicted if results else {})
    front = front_numbers(plan, records, results)
    table.insert(3, "front", table["trial"].isin(front))
    scores = judged_scores(plan, records, results.held_out if results else {}, files, front)
    Judged(mean, front, _winner(front, results), scores).add_to(table)
    return table


def front_numbers(plan: Plan, records: Sequence[TrialRecord], results: Results | None) -> list[int]:
    """Trials on the front, best searched mean first: the front that was judged, or the one so far."""
    if results is not None and results.trials == len(records):
        return list(results.chosen.front)
    weights = mean_weights(plan.objectives, records, plan.baselines)
    return [record.number for record in front_of(plan.objectives, records, weights)]


def _winner(front: Sequence[int], results: Results | None) -> int | None:
    """The trial that won; before the run's end the best one so far."""
    return results.chosen.winner if results is not None else next(iter(front), None)


def front_table(trials: pd.DataFrame, front: Sequence[int]) -> pd.DataFrame:
    """The rows of the front, best searched mean first."""
    return trials.set_index("trial").loc[list(front)].reset_index() if len(trials) else trials


def baseline_rows(trials: pd.DataFrame, plan: Plan, results: Results | None) -> pd.DataFrame:
    """The canonical points, and the soup that the greedy pass ended with, which may be one of them."""
    canonical = trials["origin"].isin(plan.baselines)
    greedy = trials["trial"] == (results.chosen.rivals.get("greedy soup", -1) if results else -1)
    names = trials["origin"].where(~greedy | canonical, "greedy soup")
    names = names.where(~(greedy & canonical), trials["origin"] + " = greedy soup")
    return trials.assign(origin=names)[canonical | greedy]


def _row(plan: Plan, record: TrialRecord, files: ScoreFiles, results: Results | None) -> dict[str, object]:
    row: dict[str, object] = {
        "trial": record.number,
        "origin": record.proposal.origin,
        "state": _state(record),
        "samples": record.visited if record.complete or record.screened else np.nan,
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


def _state(record: TrialRecord) -> str:
    if record.whole:
        return "complete"
    if record.complete:
        return f"stopped at {100 * record.visited:.0f} %"
    return str(record.reason) if record.screened else f"failed: {record.reason}"


def _later(plan: Plan, files: ScoreFiles, key: str | None, label: str) -> Mapping[str, object]:
    scores = files.load(key) if key else None
    if scores is None:
        return {}
    cells: dict[str, object] = {}
    for name, one in zip(plan.objectives.names, plan.objectives.pick(scores), strict=True):
        cells |= {f"{name} {label}": one.value, f"{name} {label} se": one.stderr}
    return cells


def _add_means(table: pd.DataFrame, mean: WeightedMean) -> None:
    objectives = mean.objectives
    oriented = objectives.mean_sign * mean.weights * objectives.signs
    for label in ("", " fresh", " held-out"):
        columns = [f"{name}{label}" for name in objectives.names]
        if all(column in table for column in columns):
            table[f"mean{label}"] = table[columns].to_numpy(dtype=np.float64) @ oriented
            errors = table[[f"{column} se" for column in columns]].to_numpy(dtype=np.float64)
            table[f"mean{label} se"] = objectives.mean_errors(mean.weights, errors)
