"""False stops: how often racing stops a candidate that the front does not dominate, in worlds of known truth.

A world has members that are specialists, incumbents and a candidate that are merges of them, and right or wrong
answers to 400 samples per task. The front is then placed by hand around the candidate's true scores: at its very edge
(for each objective an incumbent that is worse there by a single sample, and perfect elsewhere), which is the hardest
case, or as in a run, among the incumbents. Whoever is stopped at any look although nobody dominates the true scores by
more than the margin allows is stopped falsely.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from _harness import Outcome, Target, main
from numpy.typing import NDArray

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.evaluators.racing.dominance import dominated_by
from mergesearch.evaluators.racing.looks import critical_value, look_sizes
from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.paired import paired_estimate
from mergesearch.evaluators.racing.strata import strata_of

FloatArray = NDArray[np.float64]
SAMPLES, INCUMBENTS, AGREEMENT = 400, 30, 0.2


@dataclass(frozen=True)
class Setting:
    """What is simulated.

    Attributes:
        false_stops: probability allowed.
        objectives: number of tasks, and of members.
        edge: whether the front passes as close to the candidate as it can without dominating it.
        margin: of racing, in standard errors of a full score.
        first: size of the first look.
    """

    false_stops: float
    objectives: int = 2
    edge: bool = True
    margin: float = 0.0
    first: int = 16

    def __str__(self) -> str:
        """What sets it apart, in a few words."""
        where = "edge" if self.edge else "run"
        return f"{self.false_stops:g}, {self.objectives} objectives, {where}, margin {self.margin:g}, {self.first}"


SETTINGS = (
    *(Setting(allowed, objectives) for allowed in (0.05, 0.1, 0.2) for objectives in (2, 4)),
    *(Setting(0.1, objectives, first=64) for objectives in (2, 4)),
    *(Setting(0.1, objectives, margin=2.0) for objectives in (2, 4)),
    *(Setting(0.2, objectives, margin=5.0) for objectives in (2, 4)),
    *(Setting(0.2, objectives, edge=False) for objectives in (2, 4)),
)


def measure(quick: bool) -> Outcome:
    """Simulate every setting."""
    worlds = 200 if quick else 2000
    with ProcessPoolExecutor(2) as pool:
        rows = list(pool.map(partial(row, worlds=worlds), SETTINGS))
    slack = 2.0 * float(np.sqrt(0.1 / worlds))  # of a rate that is exactly as allowed, two standard errors
    targets = [
        Target(f"false stops at {setting}", float(one["false stops"]), round(setting.false_stops + slack * quick, 3))
        for setting, one in zip(SETTINGS, rows, strict=True)
    ]
    return Outcome(f"False stops in {worlds} worlds per setting", rows, targets, (__doc__ or "").partition("\n\n")[2])


def row(setting: Setting, worlds: int) -> dict[str, str | int | float]:
    """Rates of one setting, and the part of the samples that was visited."""
    found = np.array([simulated(setting, seed) for seed in range(worlds)])
    judged = found[:, 0] == 1
    return {
        "allowed": setting.false_stops,
        "objectives": setting.objectives,
        "front": "at the edge" if setting.edge else "as in a run",
        "margin": setting.margin,
        "first look": setting.first,
        "may not stop": f"{100 * judged.mean():.0f} %",
        "false stops": float(found[judged, 1].mean()),
        "samples visited": float(found[:, 2].mean()),
    }


def simulated(setting: Setting, seed: int) -> tuple[bool, bool, float]:
    """Whether the candidate must not be stopped; whether it was; and which part of the samples was visited."""
    rng = np.random.default_rng([seed, setting.objectives])
    members, others, candidate = answers(rng, setting.objectives)
    losses = -others.mean(axis=2)
    truth, full_errors = -candidate.mean(axis=1), candidate.std(axis=1, ddof=1) / np.sqrt(SAMPLES)
    margins = setting.margin * full_errors
    front = edge(truth + margins) if setting.edge else losses
    innocent = dominated_by([Estimate(value, 0.0) for value in truth], front, 0.0, margins) is None
    looks = look_sizes(SAMPLES, setting.first)
    critical = critical_value(setting.false_stops, looks, setting.objectives)
    strata = [strata_of(members[:, task]) for task in range(setting.objectives)]
    orders = [visiting_order(one, AGREEMENT, [seed, task]) for task, one in enumerate(strata)]
    for size in looks[:-1]:
        estimates = []
        for task, (one, order) in enumerate(zip(strata, orders, strict=True)):
            visited = order[:size]
            found = paired_estimate(one, visited, candidate[task, visited], others[:, task])
            estimates.append(Estimate(-found.value, found.error))
        if dominated_by(estimates, front, critical, margins) is not None:
            return innocent, True, size / SAMPLES
    return innocent, False, 1.0


def answers(rng: np.random.Generator, tasks: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Right answers (1) of members and incumbents, `models x tasks x samples`, and of a candidate, `tasks x samples`.

    A model has a skill per task, and members are specialists in one; in half of the worlds a merge keeps less than
    its share, and all have luck of their own besides that of the sample.
    """
    mixes = np.vstack([np.eye(tasks), rng.dirichlet(np.ones(tasks), INCUMBENTS + 1)])
    mixes[tasks:] *= rng.uniform(0.6, 1.2, (INCUMBENTS + 1, 1)) if rng.random() < 0.5 else 1.0
    skills = mixes @ (rng.uniform(-0.5, 0.5, (tasks, tasks)) + np.diag(rng.uniform(1, 3, tasks)))
    steep, hard = rng.lognormal(0, 0.5, (tasks, SAMPLES)), rng.normal(rng.uniform(-1, 2), 1.5, (tasks, SAMPLES))
    own = rng.random((len(mixes), tasks, SAMPLES)) < rng.uniform(0.1, 0.9)
    luck = np.where(own, rng.logistic(size=own.shape), rng.logistic(size=own.shape[1:]))
    right = (skills[:, :, None] * steep - hard + luck > 0).astype(np.float64)
    return right[:tasks], right[tasks:-1], right[-1]


def edge(truth: FloatArray) -> FloatArray:
    """A front that just fails to dominate: each incumbent is worse by one sample in one objective, and perfect else."""
    front = np.full((len(truth), len(truth)), -1.0)
    np.fill_diagonal(front, truth + 1.0 / SAMPLES)
    return front


if __name__ == "__main__":
    main(measure, __doc__ or "")
