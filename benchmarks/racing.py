"""Racing: how good a search is, and how many sample evaluations it takes, with racing on and off.

Real runs on the zoo's digit experts, 200 trials each; a seed is that of the search and of the split into search and
held-out samples. Sample evaluations are counted where they are made, in the evaluator.
"""

from __future__ import annotations

import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _harness import Outcome, Target, main
from numpy.typing import NDArray

from mergesearch import Config, Run, run
from mergesearch.evaluators.statistics.split import split_samples
from mergesearch.plugins import load_object
from mergesearch.search.pareto import hypervolume

ROOT = Path(__file__).parent.parent
COUNTED = f"{ROOT / 'benchmarks' / '_counted.py'}:Counted"
TASKS = ("rotate", "flip", "invert", "shift")
ALLOWED_LOSS, ALLOWED_SHARE = 0.01, 0.35
SEEDS = range(220, 240)  # not those that the settings were chosen on
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """What is searched: the tasks' accuracies, or their mean, by a searcher; one member for each task."""

    name: str
    tasks: tuple[str, ...]
    searcher: str = "nsga2"
    mean: bool = False
    racing: tuple[dict[str, Any], ...] = field(default=({},))
    target: bool = False


PROBLEMS = (
    Problem("rotate, flip", TASKS[:2], target=True),
    Problem("invert, shift", TASKS[2:], target=True),
    Problem("rotate, flip", TASKS[:2], "random"),
    Problem("all four", TASKS),
    Problem(
        "mean of all four",
        TASKS,
        "tpe",
        mean=True,
        racing=tuple({"estimator": kind} for kind in ("paired", "stratified", "item_response")),
    ),
)


def measure(quick: bool) -> Outcome:
    """Search every problem with every seed, raced and not."""
    os.chdir(ROOT)  # the example's configuration names the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo", "digits")
    seeds, trials = (SEEDS[:2], 60) if quick else (SEEDS, 200)
    # Of the new processes: more threads for so small a model would only wait for one another.
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(3, get_context("spawn")) as pool:
        jobs = [[pool.submit(_compared, problem, seed, trials) for seed in seeds] for problem in PROBLEMS]
        found = [[job.result() for job in some] for some in jobs]
    rows, targets = [], []
    for problem, some in zip(PROBLEMS, found, strict=True):
        for place, options in enumerate(problem.racing):
            each = np.array([one[place] for one in some])
            rows.append(_row(problem, options, each))
            if problem.target:
                targets += _targets(problem, each)
    return Outcome(
        f"Racing on the zoo's digits, {trials} trials", rows, targets, NOTE.format(seeds=len(seeds), first=seeds[0])
    )


NOTE = """Means over {seeds} seeds, from {first} on, ± their standard error, with racing over without. Quality: of
several objectives the held-out hypervolume of the front up to an accuracy of 0, the worst there can be, and, more
strictly, of its part that is above the worst of base and members; of one, the winner's held-out mean. Share: sample
evaluations of the search with racing, finalists included, over those without. Racing as it is by default; its settings
were chosen on seeds from 1000 on, of the first two problems, and that of one mean on seeds from 3000 on."""


def _compared(problem: Problem, seed: int, trials: int) -> list[tuple[float, ...]]:
    """Quality and sample evaluations with each racing over those without, and the share of fully scored trials."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        whole, count = _searched(problem, seed, trials, "off", Path(folder) / "off")
        for place, options in enumerate(problem.racing):
            racing = {"enabled": True, **options}
            raced, raced_count = _searched(problem, seed, trials, racing, Path(folder) / str(place))
            full = float(np.mean([record.whole for record in raced.records]))
            found.append((*(_quality(problem, raced) / _quality(problem, whole)), raced_count / count, full))
    return found


def _searched(problem: Problem, seed: int, trials: int, racing: Any, folder: Path) -> tuple[Run, int]:
    """Search once; the run, and how many search samples it evaluated."""
    keys: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "digits.yaml").read_text(encoding="utf-8"))
    keys["models"]["members"] = {task: keys["models"]["members"][task] for task in problem.tasks}
    tasks = {task: {"task": task} for task in problem.tasks}
    keys["evaluators"]["digits"] |= {"kind": COUNTED, "tasks": tasks, "batch_size": 450}
    keys["objectives"] = [f"{task}/accuracy" for task in problem.tasks]
    keys["search"] = {"searcher": problem.searcher, "seed": seed, **({"scalarise": "mean"} if problem.mean else {})}
    keys |= {"samples": {"seed": seed}, "budget": {"trials": trials}, "racing": racing, "out": str(folder)}
    counted = load_object(COUNTED)
    counted.calls.clear()
    done = run(Config(**keys))
    search = {task: split_samples(900, 0.5, seed, task).search for task in problem.tasks}
    count = sum(int(np.isin(rows, search[task]).sum()) for call in counted.calls for task, rows in call.items())
    return done, count


def _quality(problem: Problem, done: Run) -> FloatArray:
    """Held-out hypervolumes of the front up to two references; or, twice, the held-out mean of the winner."""
    columns = [f"{task}/accuracy held-out" for task in problem.tasks]
    trials = done.trials.set_index("trial")[columns]
    if problem.mean:
        return np.full(2, trials.loc[done.pick()].to_numpy(dtype=np.float64).mean())
    known = done.trials["origin"].isin(["base", *(f"member {task}" for task in problem.tasks)])
    worst = -trials.to_numpy()[known.to_numpy()].min(axis=0)
    front = -done.front[columns].to_numpy()
    return np.array([hypervolume(front, reference) for reference in (np.zeros(len(columns)), worst)])


def _row(problem: Problem, options: dict[str, Any], each: FloatArray) -> dict[str, str | int | float]:
    mean, error = each.mean(axis=0), each.std(axis=0, ddof=1) / np.sqrt(len(each))
    return {
        "objectives": problem.name,
        "searcher": problem.searcher,
        "estimator": str(options.get("estimator", "paired")),
        "quality": f"{mean[0]:.4f} ± {error[0]:.4f}",
        "worst seed": f"{each[:, 0].min():.4f}",
        "strictly": "" if problem.mean else f"{mean[1]:.4f} ± {error[1]:.4f}",
        "share of samples": f"{mean[2]:.3f} ± {error[2]:.3f}",
        "scored in full": f"{100 * mean[3]:.0f} %",
    }


def _targets(problem: Problem, each: FloatArray) -> list[Target]:
    return [
        Target(f"hypervolume lost, {problem.name}", 1.0 - float(each[:, 0].mean()), ALLOWED_LOSS),
        Target(f"share of sample evaluations, {problem.name}", float(each[:, 2].mean()), ALLOWED_SHARE),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
