"""What LCSC buys on the zoo's training run, and on a toy whose best combination lies beyond all snapshots.

On the zoo every search has the same budget and baselines, and looks for the best mean loss of five tasks; every figure
is of samples that no search saw. Over 10 seeds, each of the search and of the split of the samples.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from _harness import Outcome, Target, main
from _paired import gain
from _toys import evolve, extrapolation

from mergesearch import Config, Run, run
from mergesearch.search.lcsc import Lcsc
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.ema import ema_rates, ema_row
from mergesearch.spaces.simplex import Simplex

ROOT = Path(__file__).parent.parent
OTHERS = ("cmaes", "tpe", "random")
NARROW = {"low": -0.5, "high": 1.0}  # their steps follow from the bounds, and beyond these lies nothing good
RIVALS = ("last snapshot", "best snapshot", "best EMA")


def measure(quick: bool) -> Outcome:
    """Search the zoo's trajectory with LCSC and with others, and the toy with both kinds of coefficients."""
    os.chdir(ROOT)  # the example configurations name the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo")
    seeds = range(3 if quick else 10)
    with tempfile.TemporaryDirectory() as out:
        per_seed = [_held_out(seed, out) for seed in seeds]
    found = {name: [one[name] for one in per_seed] for name in per_seed[0]}
    rows = [_row(name, found) for name in found]
    targets = []
    for rival in RIVALS:
        mean, half = gain(found[rival], found["LCSC"])
        targets.append(Target(f"LCSC over {rival}, loss, lower end of 95 % interval", mean - half, 0.0, at_most=False))
    toy = [_toy(seed) for seed in range(5)]
    targets.append(Target("extrapolation toy, affine, worst of 5 seeds", max(one["affine"] for one in toy), 0.01))
    for name in ("not negative, searched", "not negative, exact optimum", "best EMA"):
        least = min(one[name] for one in toy)
        targets.append(Target(f"extrapolation toy, {name}, best of 5 seeds", least, 0.2, at_most=False))
    note = (
        f"Mean loss of five tasks, over {len(seeds)} seeds, each with a split of its own; differences are paired by "
        "seed, with 95 % intervals. The best snapshot (of the last ten), window and EMA are chosen by search score, as "
        "a run chooses them, and once by the held-out score itself, which favours them. All splits are of the same 900 "
        "samples per task: the intervals leave out what other samples would change."
    )
    return Outcome("LCSC on the zoo's trajectory, by held-out loss", rows, targets, note)


def _held_out(seed: int, out: str) -> dict[str, float]:
    """Mean held-out loss of what each method chooses."""
    lcsc = _search("lcsc", seed, out)
    baselines = lcsc.trials[lcsc.trials["origin"].isin(lcsc.plan.baselines)].set_index("origin")
    later = baselines["mean held-out"]
    found = {
        "LCSC": _winner(lcsc),
        "last snapshot": later[f"member {lcsc.plan.members[-1]}"],
        "uniform soup": later["uniform soup"],
    }
    for name, family in {"best snapshot": "member ", "best window": "window ", "best EMA": "ema "}.items():
        points = baselines[baselines.index.str.startswith(family)]
        found[name] = later[str(points["mean"].idxmin())]
        found[f"{name}, by held-out loss"] = points["mean held-out"].min()
    return found | {searcher: _winner(_search(searcher, seed, out)) for searcher in OTHERS}


def _search(searcher: str, seed: int, out: str) -> Run:
    keys = yaml.safe_load((ROOT / "examples" / "trajectory.yaml").read_text(encoding="utf-8"))
    keys |= {"name": f"{searcher}-{seed}", "out": out, "racing": "off"}  # searchers are compared on the same samples
    keys["search"] |= {"searcher": searcher, "seed": seed}
    keys["samples"] |= {"seed": seed}
    if searcher != "lcsc":
        keys["space"] |= NARROW
    return run(Config(**keys))


def _winner(one: Run) -> float:
    winner = one.trials["trial"] == one.pick()
    return float(one.trials.loc[winner, "mean held-out"].item())


def _row(name: str, found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    mean, half = gain(found[name], found["LCSC"])
    ahead = int(np.sum(np.greater(found[name], found["LCSC"])))
    return {
        "coefficients": name,
        "held-out loss": f"{np.mean(found[name]):.4f}",
        "LCSC lower by": "" if name == "LCSC" else f"{mean:.4f} ± {half:.4f}",
        "in": "" if name == "LCSC" else f"{ahead} of {len(found[name])}",
    }


def _toy(seed: int) -> dict[str, float]:
    """Lowest losses of 2,000 trials on the extrapolation toy."""
    problem = extrapolation(seed)
    affine, _ = evolve(Lcsc(seed), Affine(40, -10.0, 10.0), problem.loss, 2000)
    convex, _ = evolve(Lcsc(seed), Simplex(40), problem.loss, 2000)
    steps = range(40)
    return {
        "affine": min(map(problem.loss, affine)),
        "not negative, searched": min(map(problem.loss, convex)),
        "not negative, exact optimum": problem.convex_optimum(),
        "best EMA": min(problem.loss(ema_row(steps, rate)) for rate in ema_rates(steps)),
    }


if __name__ == "__main__":
    main(measure, __doc__ or "")
