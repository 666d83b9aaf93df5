"""What is said of a run beside its verdict: the winner's curse, racing, signal and noise."""

from __future__ import annotations

import pandas as pd

from ..outcome.results import Results
from ..outcome.separation import summary, warnings
from ..plan import Plan


def remarks(plan: Plan, trials: pd.DataFrame, results: Results | None) -> list[str]:
    """What is said below a terminal's tables beside the verdict, line by line."""
    lines = [racing(trials)]
    if results is not None:
        unequal = [weights(plan, results)] if len(set(results.weights)) > 1 else []
        lines = [results.optimism, *unequal, *lines, summary(results.signals)]
        lines += warnings(results.signals, "candidates")
    return [line for line in lines if line]


def weights(plan: Plan, results: Results) -> str:
    """What the objectives' mean is made of, in one line."""
    pairs = zip(plan.objectives.each, results.weights, strict=True)
    falling = plan.objectives.mean_sign < 0  # the mean is shown such that higher is better
    return "Weights of the mean: " + ", ".join(
        f"{one.name} {'-' if falling and not one.maximize else ''}{weight:.3g}" for one, weight in pairs
    )


def racing(trials: pd.DataFrame) -> str:
    """How many trials stopped early, and what that saved, in one line; empty where none did."""
    if "samples" not in trials or not (trials["samples"] < 1).any():
        return ""
    visited = trials["samples"].dropna()
    stopped, screened = int(((visited > 0) & (visited < 1)).sum()), int((visited == 0).sum())
    parts = [f"{stopped} of {len(trials)} trials stopped early"] + [f"{screened} were screened out"] * (screened > 0)
    return f"Racing: {', '.join(parts)}; {100 * visited.mean():.0f} % of the sample evaluations of a full run."
