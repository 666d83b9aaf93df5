"""The report: one HTML file with front, history and coefficients, readable offline."""

from __future__ import annotations

import html
from pathlib import Path

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io

from .folder import write_atomically
from .forecasts import beside_real
from .plan import Plan
from .results import Results
from .tables import baseline_rows, brief, front_table

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }}
table {{ border-collapse: collapse; font-size: .85rem; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: right; white-space: nowrap; }}
th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
.verdict {{ padding: .8rem 1rem; background: #eef4fb; border-left: 4px solid #2f6feb; }}
</style></head><body>
<h1>{title}</h1>
{body}
</body></html>
"""


def write_report(path: Path, name: str, plan: Plan, trials: pd.DataFrame, results: Results | None) -> None:
    """Write the report of a run; everything it needs is inside the file.

    Args:
        path: of the HTML file.
        name: the run's.
        plan: objectives, members and groups.
        trials: as `tables.trials_table` gives it.
        results: None before the run's first end; then there is no front yet.
    """
    parts = [_summary(plan, trials, results)]
    complete = trials[trials["state"] == "complete"] if len(trials) else trials
    if results is not None and len(complete):
        figures = {
            "Trade-off": _trade_off(plan, complete, results),
            "History": _history(plan, complete),
            "Coefficients of the winner": _coefficients(plan, trials, results),
        }
        parts += [f"<h2>{title}</h2>{_figure(figure)}" for title, figure in figures.items() if figure is not None]
        legend = "<p>search score → held-out score ± its standard error</p>"
        front = front_table(trials, results.chosen.front)
        if results.chosen.nearest is not None:
            closest = front_table(trials, [results.chosen.nearest])
            parts.append("<h2>Nearest to the floors</h2>" + _html_table(brief(closest, plan)))
        if results.chosen.elite:
            elite = front_table(trials, results.chosen.elite)
            parts.append("<h2>Elite, best on fresh samples first</h2>" + legend + _html_table(brief(elite, plan)))
        parts.append("<h2>Front</h2>" + legend + _html_table(brief(front, plan)))
        foreseen = beside_real(trials)
        if len(foreseen):
            parts.append("<h2>Predicted and real</h2><p>predicted → search score ± its standard error</p>")
            parts.append(_html_table(foreseen))
        parts.append("<h2>Baselines</h2>" + _html_table(brief(baseline_rows(trials, plan, results), plan)))
    failed = trials[trials["state"] != "complete"] if len(trials) else trials
    if len(failed):
        parts.append("<h2>Failed trials</h2>" + _html_table(failed[["trial", "origin", "state"]]))
    script = f"<script>{plotly.offline.get_plotlyjs()}</script>" if any("plotly" in part for part in parts) else ""
    write_atomically(path, _PAGE.format(title=html.escape(f"mergesearch: {name}"), body=script + "\n".join(parts)))


def _summary(plan: Plan, trials: pd.DataFrame, results: Results | None) -> str:
    verdict = results.verdict_among(len(trials)) if results else "The run has not ended yet."
    lines = [f"<p class='verdict'>{html.escape(verdict)}</p>"]
    if results and results.optimism:
        lines.append(f"<p>{html.escape(results.optimism)}</p>")
    if results:
        pairs = zip(plan.objectives.names, results.weights, strict=True)
        weights = ", ".join(f"{name} {weight:.3g}" for name, weight in pairs)
        lines.append(f"<p>Weights of the mean: {html.escape(weights)}.</p>")
    if plan.choice:
        lines.append(f"<p>{html.escape(plan.choice)}.</p>")
    lines.append(
        f"<p>{len(trials)} trials; {len(plan.members)} members, {len(plan.groups)} groups, "
        f"{len(plan.coordinates)} dimensions. Samples: {html.escape(plan.sample_counts)}.</p>"
    )
    return "\n".join(lines)


def _html_table(table: pd.DataFrame) -> str:
    rendered: str = table.to_html(index=False, float_format="{:.4f}".format, na_rep="", border=0)
    return rendered


def _figure(figure: go.Figure) -> str:
    rendered: str = plotly.io.to_html(figure, full_html=False, include_plotlyjs=False)
    return rendered


def _trade_off(plan: Plan, complete: pd.DataFrame, results: Results) -> go.Figure | None:
    """Two objectives as a scatter plot, more as parallel coordinates."""
    names = plan.objectives.names
    if len(names) < 2:
        return None
    on_front = complete["trial"].isin(results.chosen.front)
    if len(names) > 2:
        dimensions = [{"label": name, "values": complete[name]} for name in names]
        line = {"color": on_front.astype(int), "colorscale": [[0, "#c8d1da"], [1, "#2f6feb"]]}
        return go.Figure(go.Parcoords(dimensions=dimensions, line=line))
    figure = go.Figure()
    baseline = complete["origin"].isin(plan.baselines)
    kinds = {"trials": ~on_front & ~baseline, "baselines": baseline & ~on_front, "front": on_front}
    for (label, rows), colour in zip(kinds.items(), ("#c8d1da", "#d9822b", "#2f6feb"), strict=True):
        part = complete[rows]
        text = [f"trial {trial}: {origin}" for trial, origin in zip(part["trial"], part["origin"], strict=True)]
        marker = {"color": colour, "size": 9}
        figure.add_scatter(x=part[names[0]], y=part[names[1]], mode="markers", name=label, text=text, marker=marker)
    return figure.update_layout(xaxis_title=names[0], yaxis_title=names[1])


def _history(plan: Plan, complete: pd.DataFrame) -> go.Figure:
    figure = go.Figure()
    if "mean" in complete:
        better = np.minimum if plan.objectives.mean_sign > 0 else np.maximum
        best = better.accumulate(complete["mean"].to_numpy(dtype=np.float64))
        figure.add_scatter(
            x=complete["trial"], y=complete["mean"], mode="markers", name="mean", text=complete["origin"]
        )
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
