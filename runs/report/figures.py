"""Figures of the report, drawn with plotly."""

from __future__ import annotations

import html

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from ..outcome.results import Results
from ..plan import Plan


def figures(plan: Plan, trials: pd.DataFrame, results: Results) -> dict[str, go.Figure]:
    """Figures by their titles; those of the trials as `tables.trials_table` gives them, one of them complete."""
    drawn = {
        "Trade-off": _trade_off(plan, trials, results),
        "History": _history(plan, trials),
        "Coefficients of the winner": _coefficients(plan, trials, results),
    }
    return {title: figure for title, figure in drawn.items() if figure is not None}


def _trade_off(plan: Plan, trials: pd.DataFrame, results: Results) -> go.Figure | None:
    """Two objectives as a scatter plot, more as parallel coordinates."""
    names = plan.objectives.names
    if len(names) < 2:
        return None
    scored = trials[trials[names[0]].notna()]
    on_front, stopped = scored["trial"].isin(results.chosen.front), scored["samples"] < 1
    if len(names) > 2:
        complete, on_front = scored[~stopped], on_front[~stopped]
        dimensions = [{"label": name, "values": complete[name]} for name in names]
        line = {"color": on_front.astype(int), "colorscale": [[0, "#c8d1da"], [1, "#2f6feb"]]}
        return go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure = go.Figure()
    baseline = scored["origin"].isin(plan.baselines)
    kinds = {
        "stopped early (estimates)": (stopped, "#8c98a4"),
        "trials": (~stopped & ~on_front & ~baseline, "#c8d1da"),
        "baselines": (baseline & ~on_front, "#d9822b"),
        "front": (on_front, "#2f6feb"),
    }
    for label, (rows, colour) in kinds.items():
        part = scored[rows]
        if not len(part):
            continue
        text = [f"trial {trial}: {origin}" for trial, origin in zip(part["trial"], part["origin"], strict=True)]
        marker = {"color": colour, "size": 9, "symbol": "circle-open" if rows is stopped else "circle"}
        figure.add_scatter(x=part[names[0]], y=part[names[1]], mode="markers", name=label, text=text, marker=marker)
    return figure.update_layout(xaxis_title=names[0], yaxis_title=names[1])


def _history(plan: Plan, trials: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    complete, stopped = trials[trials["state"] == "complete"], trials[trials["samples"].between(0, 1, "neither")]
    if "mean" in complete:
        better = np.minimum if plan.objectives.mean_sign > 0 else np.maximum
        best = better.accumulate(complete["mean"].to_numpy(dtype=np.float64))
        figure.add_scatter(
            x=complete["trial"], y=complete["mean"], mode="markers", name="mean", text=complete["origin"]
        )
        if len(stopped):
            name, pale = "stopped early (estimate)", {"color": "#8c98a4", "symbol": "circle-open"}
            figure.add_scatter(x=stopped["trial"], y=stopped["mean"], mode="markers", name=name, marker=pale)
        figure.add_scatter(x=complete["trial"], y=best, mode="lines", name="best so far", line={"shape": "hv"})
    return figure.update_layout(xaxis_title="trial", yaxis_title="weighted mean of the objectives")


def _coefficients(plan: Plan, trials: pd.DataFrame, results: Results) -> go.Figure | None:
    if results.chosen.winner is None:
        return None
    winner = trials.set_index("trial").loc[results.chosen.winner]
    values = [[winner[f"{group} | {member}"] for member in plan.members] for group in plan.groups]
    numbers = np.array(values, dtype=np.float64)
    reach = float(np.abs(numbers).max()) or 1.0
    heatmap = go.Heatmap(
        z=numbers,
        x=[html.escape(one) for one in plan.members],
        y=[html.escape(one) for one in plan.groups],
        colorscale="RdBu",
        zmin=-reach,
        zmax=reach,
    )
    return go.Figure(heatmap).update_yaxes(autorange="reversed").update_layout(height=200 + 24 * len(plan.groups))
