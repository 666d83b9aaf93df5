"""Tables of the report, as HTML."""

from __future__ import annotations

import html

import pandas as pd

from ..outcome.forecasts import beside_real
from ..outcome.judging import AGAINST, TIED
from ..outcome.results import Results
from ..outcome.separation import CRITERION, needed, warnings
from ..plan import Plan
from .reading import brief
from .tables import baseline_rows, front_table


def whole_trials(plan: Plan, trials: pd.DataFrame, results: Results) -> dict[str, str]:
    """What the trials that were scored on all samples came to, table by table under their titles."""
    tables: dict[str, str] = {}
    chosen, front = results.chosen, int(trials["front"].sum())
    if chosen.nearest is not None:
        tables["Nearest to the floors"] = _html_table(brief(front_table(trials, [chosen.nearest]), plan, front))
    legend = _legend(bool(results.held_out))
    if chosen.elite:
        elite = brief(front_table(trials, chosen.elite), plan, front)
        tables["Elite, best on fresh samples first"] = legend + _html_table(elite)
    tables["Front"] = legend + _html_table(brief(front_table(trials, chosen.front), plan, front))
    tables |= _signal_and_noise(results)
    foreseen = beside_real(trials)
    if len(foreseen):
        note = "<p>predicted → search score ± its standard error</p>"
        tables["Predicted and real"] = note + _html_table(foreseen)
    tables["Baselines"] = _html_table(brief(baseline_rows(trials, plan, results), plan, front))
    return tables


def other_trials(plan: Plan, trials: pd.DataFrame) -> dict[str, str]:
    """Trials that stopped early or failed, under their titles."""
    tables: dict[str, str] = {}
    stopped, rest = trials[trials["samples"].between(0, 1, "neither")], trials[trials["state"] != "complete"]
    if len(stopped):
        note = "<p>estimates from the part of the search samples that was scored ± their standard errors</p>"
        summary = f"<summary>{len(stopped)} trials</summary>"
        tables["Stopped early"] = f"<details>{summary}{note}{_html_table(brief(stopped, plan, 0))}</details>"
    for title, rows in {"Screened out": rest["samples"] == 0, "Failed trials": rest["samples"].isna()}.items():
        if rows.any():
            tables[title] = _html_table(rest[rows][["trial", "origin", "state"]])
    return tables


def _legend(held_out: bool) -> str:
    if held_out:
        scores = "search score → held-out score [its 95 % interval]"
        best = "in 95 % of all runs the truly best one of the front is among those that are not <i>worse</i>"
    else:
        scores = "search score [its 95 % interval]; too hopeful of trials that these scores chose: nothing was held out"
        best = "too hopeful, too"
    return (
        f"<p>{scores}.<br><b>{AGAINST}</b>: <i>tie</i> where its weighted mean may equal the winner's (paired, 95 %); "
        f"{best}.<br><b>{TIED}</b>: others of the front from which it differs in no objective beyond noise; of the "
        "pairs that do differ, about 5 % are chance.</p>"
    )


def _signal_and_noise(results: Results) -> dict[str, str]:
    if not results.signals:
        return {}
    rows = [
        {
            "objective": name,
            "candidates": one.candidates,
            "samples": one.samples,
            "spread": one.spread,
            "noise": one.noise,
            "ratio": f"{one.ratio:.1f}",
            "samples needed": needed(one),
            "ratio on the front, held-out": f"{results.front_signals[name].ratio:.1f}" if results.front_signals else "",
        }
        for name, one in results.signals.items()
    ]
    warned = "".join(f"<p class='warning'>{html.escape(line)}.</p>" for line in warnings(results.signals, "candidates"))
    note = (
        "<p>Spread: standard deviation of the candidates' true scores, estimated. Noise: standard error of a score "
        f"beside those of other candidates on the same search samples. Ratio: spread over noise. {CRITERION}</p>"
    )
    return {"Signal and noise": warned + note + _html_table(pd.DataFrame(rows), "objectives")}


def _html_table(table: pd.DataFrame, rows: str = "trials") -> str:
    rendered: str = table.to_html(index=False, float_format="{:.4f}".format, na_rep="", border=0, classes=rows)
    return rendered
