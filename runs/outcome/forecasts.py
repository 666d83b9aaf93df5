"""What a searcher's model predicted of trials before they were evaluated, beside what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...plugins import call_user
from ..plan import Plan
from ..proposals import Proposals
from ..record import TrialRecord
from ..report.reading import part

PREDICTED = "predicted"


def forecasts(proposals: Proposals, records: Sequence[TrialRecord]) -> dict[int, list[float]]:
    """Trial number -> predicted value of every objective, or of their mean where that is all that was searched."""
    history = proposals.history(records)
    numbers = [record.number for record in records if record.complete and record.proposal.x is not None]
    searcher = f"searcher '{proposals.name}'"
    found = call_user(searcher, proposals.searcher.forecasts, history=history)
    objectives = proposals.objectives
    signs = np.array([objectives.mean_sign]) if proposals.scalarise else objectives.signs
    # Linear algebra gives other last bits where arrays lie elsewhere in memory, as they do in a resumed run.
    return {numbers[row]: [float(f"{value:.12g}") for value in signs * losses] for row, losses in found.items()}


def add_forecasts(table: pd.DataFrame, plan: Plan, predicted: Mapping[int, Sequence[float]]) -> None:
    """Add `<objective> predicted`, or `mean predicted`, to a table of trials."""
    if not predicted:
        return
    names = plan.objectives.names
    titles = names if len(next(iter(predicted.values()))) == len(names) else ["mean"]
    for place, title in enumerate(titles):
        table[f"{title} {PREDICTED}"] = [predicted[n][place] if n in predicted else np.nan for n in table["trial"]]


def beside_real(trials: pd.DataFrame) -> pd.DataFrame:
    """Of the predicted trials: every predicted score and the real one, as `predicted → real ± error`, and the error.

    One row per trial, and a last one with the mean absolute error of each column; empty where nothing was predicted.
    """
    titles = [str(name).removesuffix(f" {PREDICTED}") for name in trials if str(name).endswith(f" {PREDICTED}")]
    if not titles:
        return pd.DataFrame()
    some = trials[trials[f"{titles[0]} {PREDICTED}"].notna()]
    shown = some[["trial"]].astype(str) + some[["samples"]].map(part).to_numpy()
    for title in titles:
        each = zip(some[f"{title} {PREDICTED}"], some[title], some[f"{title} se"], strict=True)
        shown[title] = [f"{guess:.3f} → {real:.3f} ± {error:.3f}" for guess, real, error in each]
    errors = {title: f"{(some[title] - some[f'{title} {PREDICTED}']).abs().mean():.3f}" for title in titles}
    return pd.concat([shown, pd.DataFrame([{"trial": "mean absolute error", **errors}])], ignore_index=True)
