"""Spaces that grow: `grow` against every black-box searcher on the zoo's Llama, per layer, in 60 evaluations.

The budget counts the baselines. All look for the best mean of the four skills' exact match. Every seed of the search
has documents of its own, which no model was trained on and nobody tuned a setting on: 200 of each skill to search by,
and 500 more to score the winner on, the trial with the best searched mean.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _harness import Outcome, Target, main

from mergesearch import Config, Run, run

ROOT = Path(__file__).parent.parent
TRIALS = 60
DOCUMENTS = {"search": (200, 7000), "held-out": (500, 8000)}  # of each skill, and the seed that the run's is added to
SEARCHES: dict[str, dict[str, Any]] = {
    "grow": {"searcher": "grow"},
    "grow, no gradients": {"searcher": "grow", "options": {"gradients": "unused"}},
    **{name: {"searcher": name, "scalarise": "mean"} for name in ("gp", "tpe", "cmaes", "nsga2", "nsga3")},
    **{name: {"searcher": name, "scalarise": "mean"} for name in ("sobol", "random")},
}
QUICK = ("grow", "gp", "tpe", "random")


def measure(quick: bool) -> Outcome:
    """Search with every searcher, and score each winner on documents of its own."""
    os.chdir(ROOT)  # the example's configuration names the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo", "llama")
    seeds, names = (2, QUICK) if quick else (10, tuple(SEARCHES))
    with tempfile.TemporaryDirectory() as folder:
        write_documents(Path(folder), seeds)
        # Of the new processes: more threads for so small a model would only wait for one another.
        os.environ["OMP_NUM_THREADS"] = "1"
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            jobs = [pool.submit(_searched, name, seed, Path(folder)) for seed in range(seeds) for name in names]
            found = [job.result() for job in jobs]
    figures = {name: [one for one in found if one["search"] == name] for name in names}
    rows = [_row(name, some) for name, some in figures.items()]
    medians = {row["search"]: float(row["held-out mean, median"]) for row in rows}
    targets = [
        Target(f"grow over {name}, medians", medians["grow"] - medians[name], 0.0, at_most=False)
        for name in names
        if not name.startswith("grow")
    ]
    title = f"Per-layer soups of the zoo's Llama in {TRIALS} evaluations"
    return Outcome(title, rows, targets, NOTE.format(seeds=seeds))


NOTE = """Medians over {seeds} seeds; every seed has documents of its own. Evaluations count the baselines; `grow`
stops by itself, and with gradients its evaluations include a backward pass per task. Seconds are those of a whole
search, two at a time. The settings of `grow` were chosen on other documents (four seeds of 200 per skill, judged on
1,000 others), from four margins, two first curvatures of what no trial has explored, and two limits of a step along a
line, and with one mean objective or all four. The other searchers have the settings that they come with."""


def write_documents(folder: Path, seeds: int) -> None:
    """Write lm-eval tasks for every seed and use, with documents that are none of the zoo's own."""
    from llama_recipe import LlamaRecipe, evaluation_documents, expert_documents, pre_training_documents
    from lm_eval_tasks import write_task
    from string_skills import documents

    recipe = LlamaRecipe()
    own = evaluation_documents(recipe)
    pre_training = pre_training_documents(recipe, own)
    for skill, scored in own.items():
        known = {*pre_training, *scored, *expert_documents(recipe, skill, scored, pre_training)}
        for seed in range(seeds):
            drawn: set[Any] = set()
            for use, (count, first) in DOCUMENTS.items():
                some = documents(skill, count, [recipe.evaluation_length], first + seed, known | drawn)
                drawn.update(some)
                place = folder / f"{use} {seed}"
                write_task(skill, some, place, place)


def _searched(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Search once, and score the winner on held-out documents."""
    search = _keys(f"{name} {seed}", folder, f"search {seed}")
    search["search"] = {"seed": seed, **SEARCHES[name]}
    search |= {"budget": {"trials": TRIALS}, "racing": "off"}  # searchers are compared on the same samples
    started = time.perf_counter()
    one = run(Config(**search))
    seconds = time.perf_counter() - started
    means = [float(np.mean(record.values)) if record.values is not None else -np.inf for record in one.records]
    winner = one.records[int(np.argmax(means))]
    held = _keys(f"{name} {seed} held-out", folder, f"held-out {seed}")
    held["space"] = {"groups": "layers", "kind": "fixed", "coefficients": winner.proposal.table.members.tolist()}
    held["search"] = {"searcher": "random", "baselines": ["base"]}
    held["budget"] = {"trials": 2}
    return {
        "search": name,
        "held-out": float(np.mean(_last_values(run(Config(**held))))),
        "searched": max(means),
        "trials": len(one.records),
        "seconds": seconds,
    }


def _keys(name: str, folder: Path, documents: str) -> dict[str, Any]:
    """The example's configuration with the documents of one seed, all of them for the search."""
    keys: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "llama.yaml").read_text(encoding="utf-8"))
    keys |= {"name": re.sub(r"\W+", "-", name), "out": str(folder / "runs"), "samples": {"held_out": 0.0}}
    # Whole tasks as batches: a step of generation takes this small a model hardly longer for 256 documents than for 32.
    keys["evaluators"]["skills"] |= {"include_path": str(folder / documents), "batch_size": 256}
    return keys


def _last_values(one: Run) -> tuple[float, ...]:
    values = one.records[-1].values
    if values is None:
        raise RuntimeError(f"the winner could not be scored: {one.records[-1].reason}")
    return values


def _row(name: str, some: list[dict[str, Any]]) -> dict[str, str | int | float]:
    quartiles = {key: np.percentile([one[key] for one in some], [50, 25, 75]) for key in ("held-out", "searched")}
    return {
        "search": name,
        "held-out mean, median": f"{quartiles['held-out'][0]:.4f}",
        "held-out, quartiles": "{1:.4f} to {2:.4f}".format(*quartiles["held-out"]),
        "searched mean, median": f"{quartiles['searched'][0]:.4f}",
        "evaluations": float(np.median([one["trials"] for one in some])),
        "seconds": float(np.median([one["seconds"] for one in some])),
    }


if __name__ == "__main__":
    main(measure, __doc__ or "")
