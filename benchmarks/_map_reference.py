"""The best known merges of the digit experts: a local search for every preference, far longer than any method here.

`python benchmarks/_map_reference.py` writes map_reference.json anew; that takes about half an hour of one core.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from _digits import Digits, FloatArray
from _map_methods import PREFERENCES
from _regret import Scale, preferences, utilities

from mergesearch.surrogates.design import simplex_shell

EVALUATIONS = {2: 8_000, 4: 24_000, 8: 40_000}
HIGH = 1.5  # largest coefficient


def best_known(members: int, evaluations: int) -> FloatArray:
    """Rows that are best for some preference, `points x members`: a Sobol shell, then steps from every best row.

    A step is Gaussian in all coordinates or in one, a change of scale, or a part of the way to another's best.
    """
    problem, rng = Digits(members), np.random.default_rng(0)
    scale = Scale(problem.losses(np.zeros((1, members)))[0], problem.losses(np.eye(members)).min(axis=0))
    weights = preferences(members, PREFERENCES)

    def values(rows: FloatArray) -> FloatArray:
        return np.hstack(list(utilities(scale(problem.losses(rows)), weights).values()))

    rows = np.vstack([np.zeros(members), np.eye(members), simplex_shell(evaluations // 8, members, 0)])
    found = values(rows)
    best, least = rows[found.argmin(axis=0)], found.min(axis=0)
    done = len(rows)
    while done < evaluations:
        steps = np.array([_step(row, best[rng.integers(len(best))], rng) for row in best])
        tried = np.clip(best + steps, 0.0, HIGH)
        found = values(tried)
        better = found.min(axis=0) < least
        best[better], least[better] = tried[found.argmin(axis=0)[better]], found.min(axis=0)[better]
        done += len(tried)
    return np.unique(best.round(4), axis=0)


def _step(row: FloatArray, other: FloatArray, rng: np.random.Generator) -> FloatArray:
    kind = rng.random()
    if kind < 0.5:
        return np.asarray(rng.normal(size=len(row)) * 10.0 ** rng.uniform(-2.7, -0.7))
    if kind < 0.75:
        return np.asarray(np.eye(len(row))[rng.integers(len(row))] * rng.normal() * 10.0 ** rng.uniform(-2.0, -0.5))
    return np.asarray(row * rng.normal() * 0.1 if kind < 0.85 else (other - row) * rng.random())


if __name__ == "__main__":
    known = {str(members): best_known(members, count).tolist() for members, count in EVALUATIONS.items()}
    lines = [
        f'"{members}": [\n' + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]"
        for members, rows in known.items()
    ]
    path = Path(__file__).parent / "map_reference.json"
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
