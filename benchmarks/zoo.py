"""What searching buys on the zoo: best per-layer soup, best single-coefficient soup, uniform soup, and every expert.

All searches have the same budget, baselines included, and look for the best mean of all tasks; every figure is of
samples that no search saw. Over 10 seeds of the search.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from _harness import Outcome, Target, main

from mergesearch import Config, Run, run

ROOT = Path(__file__).parent.parent
SEARCHES = {"best per-layer soup": "layers", "best single-coefficient soup": "model"}
T_95 = {10: 2.262, 3: 4.303}  # Student's t for a 95 % interval, by number of seeds


def measure(quick: bool) -> Outcome:
    """Search the Llama and the digit classifiers, per layer and per model."""
    os.chdir(ROOT)  # the example configurations name the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo")
    seeds = 3 if quick else 10
    rows: list[dict[str, Any]] = []
    targets: list[Target] = []
    for problem in ("llama", "digits"):
        with tempfile.TemporaryDirectory() as out:
            runs = {
                name: [_search(problem, groups, seed, out) for seed in range(seeds)]
                for name, groups in SEARCHES.items()
            }
            table = _rows(problem, runs)
        rows += table
        means = {row["soup"]: float(str(row["held-out mean"]).split()[0]) for row in table}
        order = ["best per-layer soup", "best single-coefficient soup", "uniform soup", "best expert"]
        means["best expert"] = max(value for soup, value in means.items() if soup.startswith("member "))
        # Quarter-strength image transformations add up to none of them: digits promise nothing of the uniform soup.
        for better, worse in itertools.pairwise(order if problem == "llama" else order[:3]):
            targets.append(
                Target(f"{problem}: {better} over {worse}", means[better] - means[worse], 0.0, at_most=False)
            )
    note = (
        f"± is a 95 % interval: over {seeds} seeds for the searched soups, over held-out samples for the others. "
        "Worst task: the lowest held-out score of the soup's tasks; a search of the mean may give it up, which is what "
        "floors are for."
    )
    return Outcome("Soups of the zoo, by held-out score", rows, targets, note)


def _search(problem: str, groups: str, seed: int, out: str) -> Run:
    keys = yaml.safe_load((ROOT / "examples" / f"{problem}.yaml").read_text(encoding="utf-8"))
    keys |= {"name": f"{problem}-{groups}-{seed}", "out": out}
    keys["space"] |= {"groups": groups}
    keys["search"] = {"searcher": SEARCHER, "scalarise": "mean", "seed": seed}
    keys |= {"budget": {"trials": TRIALS}, "racing": "off"}
    return run(Config(**keys))


SEARCHER = "gp"
TRIALS = 100


def _rows(problem: str, runs: Mapping[str, list[Run]]) -> list[dict[str, Any]]:
    rows = []
    for name, searched in runs.items():
        winners = pd.DataFrame([_figures(one, one.results.chosen.winner) for one in searched if one.results])
        half = T_95[len(winners)] * winners.std(ddof=1) / np.sqrt(len(winners))
        rows.append(_row(problem, name, winners.mean(), half))
    first = next(iter(runs.values()))[0]
    baselines = first.trials[first.trials["origin"].str.match("uniform soup|member |base")]
    order = sorted(baselines.to_dict("records"), key=lambda row: -row["mean held-out"])
    for row in order:
        figures = _figures(first, row["trial"])
        tasks = first.plan.objectives.names
        errors = np.array([row[f"{task} held-out se"] for task in tasks])
        worst = int(np.argmin([row[f"{task} held-out"] for task in tasks]))
        half = pd.Series({"mean": 1.96 * np.sqrt((errors**2).sum()) / len(errors), "worst": 1.96 * errors[worst]})
        rows.append(_row(problem, row["origin"], figures, half))
    return rows


def _figures(one: Run, trial: int | None) -> pd.Series:
    row = one.trials.set_index("trial").loc[trial]
    values = [row[f"{task} held-out"] for task in one.plan.objectives.names]
    return pd.Series({"mean": float(np.mean(values)), "worst": float(np.min(values))})


def _row(problem: str, name: str, figures: pd.Series, half: pd.Series) -> dict[str, Any]:
    return {
        "models": problem,
        "soup": name,
        "held-out mean": f"{figures['mean']:.4f} ± {half['mean']:.4f}",
        "worst task": f"{figures['worst']:.4f} ± {half['worst']:.4f}",
    }


if __name__ == "__main__":
    main(measure, __doc__ or "")
