"""What MAP's variants find of the front of 2, 4 and 8 digit experts, for how many evaluations.

Regret: over 100 random preferences, linear and Chebyshev, on losses scaled to 0 at the best single member and 1 at
the base, what a method's answer misses against the best known, which a heavy local search (_map_reference.py) and all
methods here found together. A method answers by what it knows: MAP by its predicted front, all others by the merges
that they evaluated; the answer is then scored. "Best evaluated" asks the same of all. IGD+ is of the scored answers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from _digits import Digits
from _harness import Outcome, Target, main
from _map_methods import METHODS, NESTED, Found, Judge, budgets, nested, searched
from _regret import FloatArray, igd_plus, non_dominated

ROOT = Path(__file__).parent.parent
PROCESSES = 2
NESTED_SEEDS = 3  # of nested MAP, whose hundreds of merges take longer than all others together


def measure(quick: bool) -> Outcome:
    """Run all methods, with 10 seeds on 2, 4 and 8 experts."""
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo", only="digits8")
    sizes, seeds = ((2, 4), 2) if quick else ((2, 4, 8), 10)
    jobs = [(size, seed) for size in sizes[::-1] for seed in range(seeds)]
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        runs = list(pool.map(_run, *zip(*jobs, strict=True)))
    table = pd.DataFrame(
        [row for size in sizes for row in _figures(size, [found for members, found in runs if members == size])]
    )
    note = (
        f"Means over {seeds} seeds, ± standard errors. Evaluations include base, members, uniform soup. Random, Sobol "
        "and NSGA-II search the very shell that MAP samples. Seconds are of one core of a shared machine. Nested MAP "
        f"answers {NESTED} preferences (Chebyshev) and pays for each; its rows are of those alone, and so is the row "
        "that compares."
    )
    return Outcome("MAP on the digit experts", list(_rows(table)), _targets(table, sizes), note)


def _run(members: int, seed: int) -> tuple[int, tuple[list[Found], FloatArray, FloatArray]]:
    """All methods with one seed; and the reference's scaled losses and its best for each preference."""
    import torch

    torch.set_num_threads(1)
    problem = Digits(members)
    judge = Judge(problem)
    found = [one for method in METHODS for one in searched(problem, judge, method, seed)]
    if members > 2 and seed < NESTED_SEEDS:
        found += [nested(problem, judge, seed, gradients) for gradients in (False, True)[: 8 // members]]
    return members, (found, judge.reference, judge.utilities(judge.reference).min(axis=0))


def _figures(members: int, runs: Sequence[tuple[list[Found], FloatArray, FloatArray]]) -> Iterator[dict[str, Any]]:
    """One mapping for each run of each method, with its regrets against the best of all."""
    everything = [one for found, _, _ in runs for one in found]
    best = np.fmin.reduce([runs[0][2], *(one.answers for one in everything), *(one.evaluated for one in everything)])
    front = non_dominated(np.vstack([runs[0][1], *(one.losses for one in everything)]))
    few = slice(len(best) // 2, len(best) // 2 + NESTED)
    for one in everything:
        half = len(best) // 2
        answered, evaluated = one.answers - best, one.evaluated - best
        yield {
            "members": members,
            "method": one.method,
            "evaluations": one.evaluations if "nested" not in one.method else np.nan,
            "linear": np.nanmean(answered[:half]) if "nested" not in one.method else np.nan,
            "Chebyshev": np.nanmean(answered[half:]),
            "regret": np.nanmean(answered),
            "best evaluated": np.nanmean(evaluated),
            "few": np.mean(answered[few]),
            "IGD+": igd_plus(one.losses, front) if "nested" not in one.method else np.nan,
            "paid": one.evaluations,
            "searching": one.searching,
            "evaluating": one.evaluating,
        }


def _rows(table: pd.DataFrame) -> Iterator[dict[str, str | int | float]]:
    for (members, method, _), group in table.groupby(["members", "method", "evaluations"], sort=False, dropna=False):
        error = group["regret"].std(ddof=1) / np.sqrt(len(group))
        yield {
            "members": str(members),
            "method": str(method),
            "evaluations": round(group["paid"].mean()),
            "regret": f"{group['regret'].mean():.4f} ± {error:.4f}",
            "linear": _shown(group["linear"]),
            "Chebyshev": _shown(group["Chebyshev"]),
            f"{NESTED} preferences": _shown(group["few"]),
            "best evaluated": _shown(group["best evaluated"]),
            "IGD+": _shown(group["IGD+"]),
            "s search": f"{group['searching'].mean():.1f}",
            "s evaluate": f"{group['evaluating'].mean():.1f}",
        }


def _shown(column: pd.Series) -> str:
    return "" if column.isna().all() else f"{column.mean():.4f}"


def _targets(table: pd.DataFrame, sizes: Sequence[int]) -> list[Target]:
    means = table.groupby(["members", "method", "evaluations"])["regret"].mean()
    targets = []
    for size in sizes:
        few, some, plain = budgets(size)
        ours = means[size]
        if size > 2:
            ratio = ours["gradient MAP", few] / ours["one-shot MAP", plain]
            targets.append(
                Target(f"{size} members: regret of gradient MAP ({few}) over one-shot MAP ({plain})", float(ratio), 1.0)
            )
        ratio = ours["Bayesian MAP, hypervolume", plain] / ours["one-shot MAP", plain]
        targets.append(
            Target(f"{size} members: regret of Bayesian over one-shot MAP ({plain} each)", float(ratio), 0.6)
        )
        for budget in (few, some, plain):
            at = ours[:, budget]
            rivals, maps = at[["random", "Sobol", "NSGA-II"]].min(), at.drop(["random", "Sobol", "NSGA-II"]).max()
            targets.append(
                Target(f"{size} members, {budget}: worst MAP over best of the others", float(maps / rivals), 1.0)
            )
    return targets


if __name__ == "__main__":
    main(measure, __doc__ or "")
