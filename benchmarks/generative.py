"""What LCSC buys on a consistency model: Fréchet distance of what its soup draws, from noise that no search saw.

Every seed has a training run, search noise and fresh noise of its own.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from _harness import Outcome, Target, main
from _paired import gain
from safetensors.torch import load_file

from mergesearch import Config, Run, run
from mergesearch.evaluators.build import build_evaluators

ROOT = Path(__file__).parent.parent
FRESH = 10_000  # images for every figure
REFERENCES = {"training": "the images trained on", "others": "900 images that nothing saw"}
RIVALS = ("last snapshot", "best snapshot", "best window", "best EMA")
Found = dict[str, dict[str, float]]


def measure(quick: bool) -> Outcome:
    """Train, search and judge, once for each seed."""
    os.chdir(ROOT)  # the example configuration names the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    seeds = range(1, 4 if quick else 11)
    with tempfile.TemporaryDirectory() as out:
        return outcome([judged(seed, out, 100 if quick else None) for seed in seeds])


def outcome(per_seed: Sequence[Found]) -> Outcome:
    """The table and its targets, from what `judged` gave for every seed."""
    rows = [row for part in REFERENCES for row in _rows(part, per_seed)]
    targets = []
    for part, words in REFERENCES.items():
        for rival in RIVALS:
            mean, half = gain(*([one[part][name] for one in per_seed] for name in (rival, "LCSC")))
            name = f"LCSC over {rival}, distance to {words}, lower end of 95 % interval"
            targets.append(Target(name, mean - half, 0.0, at_most=False))
    note = (
        f"Fréchet distances of {FRESH} images drawn in one step from fresh noise, over {len(per_seed)} seeds, each "
        "with a training run, search noise and fresh noise of its own; differences are paired by seed, with 95 % "
        "intervals. Every search saw 1,000 images, and distances to the images trained on. Snapshot, window and EMA "
        "are chosen by the search's own score among all of a run, and once by the figure shown, which favours them."
    )
    return Outcome("LCSC on a consistency model, by Fréchet distance of fresh images", rows, targets, note)


def judged(seed: int, out: str, trials: int | None = None, options: Mapping[str, Any] | None = None) -> Found:
    """Search one training run with LCSC: part of the real images -> what is chosen -> distance of fresh images."""
    from consistency_training import ConsistencyRecipe
    from train import build_consistency

    snapshots = build_consistency(ROOT / "zoo" / f"consistency_{seed}", ConsistencyRecipe(seed=seed), print).folder
    result = _search(seed, snapshots, out, trials, options or {})
    chosen = _chosen(result)
    rows = {trial: result.records[trial].proposal.table.members[0] for trials in chosen.values() for trial in trials}
    return {part: _by_name(chosen, _distances(result, seed, part, snapshots, rows)) for part in REFERENCES}


def _search(seed: int, snapshots: Path, out: str, trials: int | None, options: Mapping[str, Any]) -> Run:
    keys = yaml.safe_load((ROOT / "examples" / "consistency.yaml").read_text(encoding="utf-8"))
    keys |= {"name": f"consistency-{seed}-{len(os.listdir(out))}", "out": out}
    keys["models"]["trajectory"] = f"{snapshots}/step_*.safetensors"
    keys["search"] |= {"seed": seed, "baselines": ["*", "window *", "ema *"], "options": dict(options)}
    keys["evaluators"]["drawn"] |= {"seed": seed, "metrics": ["frechet"], "cache": f"{out}/cache"}
    keys["budget"]["trials"] = trials or keys["budget"]["trials"]
    return run(Config(**keys))


def _chosen(result: Run) -> dict[str, list[int]]:
    """What is compared -> trials: the one that its search score chooses first, then the others of its kind."""
    baselines = result.trials[result.trials["origin"].isin(result.plan.baselines)]
    last = baselines[baselines["origin"] == f"member {result.plan.members[-1]}"]
    uniform = baselines[baselines["origin"] == "uniform soup"]
    found = {
        "LCSC": [result.pick()],
        "last snapshot": last["trial"].tolist(),
        "uniform soup": uniform["trial"].tolist(),
    }
    for name, family in {"best snapshot": "member ", "best window": "window ", "best EMA": "ema "}.items():
        points = baselines[baselines["origin"].str.startswith(family)].sort_values("mean")
        found[name] = points["trial"].tolist()
    return found


def _by_name(chosen: Mapping[str, Sequence[int]], values: Mapping[int, float]) -> dict[str, float]:
    found = {}
    for name, trials in chosen.items():
        each = [values[trial] for trial in trials]
        found[name] = each[0]
        if len(each) > 1:
            found[f"{name}, by this very figure"] = min(each)
    return found


def _distances(
    result: Run, seed: int, part: str, snapshots: Path, rows: Mapping[int, Sequence[float]]
) -> dict[int, float]:
    """Trial -> distance of `FRESH` images of the search's evaluator, with other noise, to a part of the real ones."""
    options = dict(result.config.evaluators["drawn"])
    options |= {"seed": 1_000_000 + seed, "samples": FRESH}
    options["arguments"] = {**options["arguments"], "reference": {"part": part}}
    evaluator = build_evaluators({"drawn": options})
    evaluator.prepare(_merged(snapshots, next(iter(rows.values()))), None)
    scores = {
        trial: evaluator.score(_merged(snapshots, row), {"drawn": np.arange(FRESH)}) for trial, row in rows.items()
    }
    return {trial: one["drawn"]["frechet"].value for trial, one in scores.items()}


def _merged(snapshots: Path, row: Sequence[float]) -> torch.nn.Module:
    """The model at these coefficients, summed plainly in double precision."""
    from consistency import network

    states = [load_file(path) for path in sorted(snapshots.glob("step_*.safetensors"))]
    model = network()
    weights = {name: sum(c * state[name].double() for c, state in zip(row, states, strict=True)) for name in states[0]}
    model.load_state_dict({name: torch.as_tensor(weight).float() for name, weight in weights.items()})
    return model


def _rows(part: str, per_seed: Sequence[Found]) -> list[dict[str, Any]]:
    ours = [one[part]["LCSC"] for one in per_seed]
    rows = []
    for name in per_seed[0][part]:
        theirs = [one[part][name] for one in per_seed]
        mean, half = gain(theirs, ours)
        ahead = int(np.sum(np.greater(theirs, ours)))
        rows.append(
            {
                "real images": part,
                "coefficients": name,
                "Fréchet distance": f"{np.mean(theirs):.3f}",
                "LCSC lower by": "" if name == "LCSC" else f"{mean:.3f} ± {half:.3f}",
                "in": "" if name == "LCSC" else f"{ahead} of {len(theirs)}",
            }
        )
    return rows


if __name__ == "__main__":
    main(measure, __doc__ or "")
