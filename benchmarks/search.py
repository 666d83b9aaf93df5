"""Which searcher to use: every one of them on the zoo's problems, at equal evaluations.

Regret is what a search misses against the best that any of them, or a far longer search, found on the same samples:
of one objective in its own unit, of several over 100 random preferences (linear and Chebyshev), with losses scaled to
0 at the best single member and 1 at the base. IGD+ is the distance of the front found from the best known one.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _harness import Outcome, Target, main
from _regret import FloatArray, Scale, igd_plus, non_dominated, preferences, regrets

from mergesearch import Config, MergesearchError, Searcher, run
from mergesearch.plugins import plugin_names

ROOT = Path(__file__).parent.parent
SPLIT = 9001  # of the samples: one that no setting was chosen on
PROCESSES = int(os.environ.get("PROCESSES", "2"))


@dataclass(frozen=True)
class Problem:
    """One search problem of the zoo.

    Attributes:
        name: for the table.
        example: file of examples/ that it changes.
        groups: which tensors share coefficients.
        front: whether the whole front is searched; one weighted mean otherwise.
        trials: budget, baselines included.
        long: searchers that look for the best known, and their options and budget.
        fewer: seeds of searchers that take minutes, and gigabytes, for a run.
        changes: further keys.
    """

    name: str
    example: str
    groups: str
    front: bool
    trials: int
    long: Mapping[str, tuple[dict[str, Any], int]]
    fewer: Mapping[str, int] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)

    def config(self, searcher: str, seed: int, out: str, **search: Any) -> Config:
        """The configuration of one run."""
        keys = yaml.safe_load((ROOT / "examples" / f"{self.example}.yaml").read_text(encoding="utf-8"))
        keys |= {"name": f"{searcher}-{seed}", "out": f"{out}/{self.name}", "samples": {"seed": SPLIT}}
        keys["space"] |= {"groups": self.groups}
        keys["search"] |= {"searcher": searcher, "seed": seed, "options": search.get("options", {})}
        keys["search"] |= {"scalarise": None if self.front else "mean"}
        keys |= {"budget": {"trials": search.get("trials", self.trials)}, "racing": "off"}  # on the same samples, all
        return Config(**{**keys, **self.changes})


PROBLEMS = (
    Problem("digits, front of 4", "digits", "model", True, 60, {"nsga2": ({"population": 60}, 3000)}, {"gp": 0}),
    Problem("digits, mean, 24 dimensions", "digits", "layers", False, 60, {"cmaes": ({}, 3000)}),
    Problem("trajectory, mean, 19 dimensions", "trajectory", "model", False, 100, {"cmaes": ({}, 3000)}),
)


@dataclass(frozen=True)
class Found:
    """What one run found: losses of its trials, `trials x objectives`, rows of its baselines, and its wall time."""

    losses: FloatArray
    baselines: Mapping[str, int]
    seconds: float


def measure(quick: bool) -> Outcome:
    """Run every searcher on every problem."""
    os.chdir(ROOT)  # the example configurations name the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo")
    seeds = 2 if quick else 10
    names = plugin_names("mergesearch.search", Searcher)
    rows: list[dict[str, Any]] = []
    targets: list[Target] = []
    for problem in PROBLEMS[:1] if quick else PROBLEMS:
        out = tempfile.mkdtemp()
        try:
            chosen = run(problem.config("auto", 0, out)).plan.recommended
            table = _rows(problem, _runs(problem, names, seeds, out, quick))
            rows += table
            targets += _targets(problem, table, str(chosen["searcher"]) if chosen else "")
        finally:
            shutil.rmtree(out)
    note = (
        f"Median [quartiles] over the seeds; 'trials' are evaluations, baselines and greedy pass included. Scores "
        f"of search samples (split {SPLIT}, on which nothing was tuned). Seconds: of a whole run, scoring included."
    )
    return Outcome("Searchers on the zoo", rows, targets, note)


def _runs(problem: Problem, names: list[str], seeds: int, out: str, quick: bool) -> dict[str, list[Found]]:
    """Runs of every searcher that the problem suits, and of the long searches under the name ''."""
    # Seed by seed, so that few Gaussian processes, which take most memory, run at once.
    tasks = [
        (name, problem.config(name, seed, out))
        for seed in range(seeds)
        for name in names
        if seed < problem.fewer.get(name, seeds)
    ]
    for name, (options, trials) in problem.long.items():
        longer = problem.config(name, 10_000, out, options=options, trials=trials // 10 if quick else trials)
        tasks.insert(0, ("", longer))
    # New processes after a few runs: a Gaussian process leaves gigabytes behind.
    with get_context("spawn").Pool(PROCESSES, maxtasksperchild=10) as pool:
        found = pool.map(_run, [config for _, config in tasks], chunksize=1)
    runs: dict[str, list[Found]] = {}
    for (name, _), one in zip(tasks, found, strict=True):
        if one is not None:
            runs.setdefault(name, []).append(one)
    return runs


def _run(config: Config) -> Found | None:
    """One whole run; None where the searcher does not suit the problem."""
    import torch

    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        done = run(config)
    except MergesearchError as error:
        if config.search.seed == 0:
            print(f"{config.search.searcher} does not suit {config.out}: {error}", file=sys.stderr)
        return None
    seconds = time.perf_counter() - started
    complete = [record for record in done.records if record.values is not None]
    losses = np.array([record.values for record in complete]) * done.plan.objectives.signs
    origins = {record.proposal.origin: row for row, record in enumerate(complete)}
    return Found(losses, {name: row for name, row in origins.items() if name in done.plan.baselines}, seconds)


def _rows(problem: Problem, runs: Mapping[str, list[Found]]) -> list[dict[str, Any]]:
    """One row per searcher, the lowest median regret first."""
    score = _front_scores if problem.front else _mean_scores
    best = np.concatenate([one.losses for found in runs.values() for one in found])
    scored = {name: [score(one, best) for one in found] for name, found in runs.items() if name}
    order = sorted(scored, key=lambda name: float(np.median([one[0] for one in scored[name]])))
    return [
        {
            "problem": problem.name,
            "searcher": name,
            "seeds": len(runs[name]),
            "trials": int(np.median([len(one.losses) for one in runs[name]])),
            "regret": _spread([one[0] for one in scored[name]]),
            "Chebyshev regret": _spread([one[1] for one in scored[name]]) if problem.front else "",
            "IGD+": _spread([one[2] for one in scored[name]]) if problem.front else "",
            "s": round(float(np.median([one.seconds for one in runs[name]])), 1),
        }
        for name in order
    ]


def _mean_scores(one: Found, best: FloatArray) -> tuple[float, float, float]:
    return float(one.losses.mean(axis=1).min() - best.mean(axis=1).min()), 0.0, 0.0


def _front_scores(one: Found, best: FloatArray) -> tuple[float, float, float]:
    members = [row for name, row in one.baselines.items() if name.startswith("member ")]
    scale = Scale(one.losses[one.baselines["base"]], one.losses[members].min(axis=0))
    ours, known = scale(one.losses), non_dominated(scale(best))
    regret = regrets(ours, known, preferences(ours.shape[1]))
    return regret["linear"], regret["Chebyshev"], igd_plus(ours, known)


def _spread(values: list[float]) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.4f} [{low:.4f}, {high:.4f}]"


def _targets(problem: Problem, rows: list[dict[str, Any]], chosen: str) -> list[Target]:
    """What `search: auto` chooses for a problem must not lose to random there."""
    median = {row["searcher"]: float(row["regret"].split()[0]) for row in rows}
    name = f"{problem.name}: {chosen}, which auto takes, over random"
    return [Target(name, median["random"] - median[chosen], 0.0, at_most=False)]


if __name__ == "__main__":
    main(measure, __doc__ or "")
