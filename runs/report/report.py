"""The report: one HTML file with front, history and coefficients, readable offline."""

from __future__ import annotations

import html
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import plotly.io

from ..folder import write_atomically
from ..outcome.results import Results
from ..plan import Plan
from .figures import figures
from .remarks import racing, weights
from .report_tables import other_trials, whole_trials

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: #1b1f24; }}
table {{ border-collapse: collapse; font-size: .85rem; margin: 1rem 0; display: block; overflow-x: auto; }}
th, td {{ padding: .25rem .6rem; border-bottom: 1px solid #d8dee4; text-align: right; white-space: nowrap; }}
.trials :is(th, td):nth-child(2), .objectives :is(th, td):first-child {{ text-align: left; }}
.warning {{ padding: .4rem 1rem; background: #fdf3e3; border-left: 4px solid #d9822b; }}
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
        drawn = figures(plan, trials, results)
        parts += [f"<h2>{title}</h2>{_html_figure(figure)}" for title, figure in drawn.items()]
        parts += [f"<h2>{title}</h2>{text}" for title, text in whole_trials(plan, trials, results).items()]
    if len(trials):
        parts += [f"<h2>{title}</h2>{text}" for title, text in other_trials(plan, trials).items()]
    script = f"<script>{plotly.offline.get_plotlyjs()}</script>" if any("plotly" in part for part in parts) else ""
    write_atomically(path, _PAGE.format(title=html.escape(f"mergesearch: {name}"), body=script + "\n".join(parts)))


def _summary(plan: Plan, trials: pd.DataFrame, results: Results | None) -> str:
    verdict = results.verdict_among(len(trials)) if results else "The run has not ended yet."
    lines = [f"<p class='verdict'>{html.escape(verdict)}</p>"]
    if results and results.optimism:
        lines.append(f"<p>{html.escape(results.optimism)}</p>")
    if results:
        lines.append(f"<p>{html.escape(weights(plan, results))}.</p>")
    said = [f"{plan.choice}." if plan.choice else "", racing(trials)]
    lines += [f"<p>{html.escape(line)}</p>" for line in said if line]
    lines.append(
        f"<p>{len(trials)} trials; {len(plan.members)} members, {len(plan.groups)} groups, "
        f"{len(plan.coordinates)} dimensions. Samples: {html.escape(plan.sample_counts)}.</p>"
    )
    return "\n".join(lines)


def _html_figure(figure: go.Figure) -> str:
    rendered: str = plotly.io.to_html(figure, full_html=False, include_plotlyjs=False)
    return rendered
