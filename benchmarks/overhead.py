"""Time per trial outside of the evaluator: proposing, writing the candidate, racing, saving scores, appending."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from _harness import Outcome, Target, main
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from safetensors.torch import save_file
from torch import nn

from mergesearch import Config, run
from mergesearch.runs.driver import Silent

MEMBERS, SAMPLES, METRICS, WINDOW = 8, 400, ("one", "two"), 50
DIMENSIONS = (8, 64, 512)
_DIFFICULTY = np.random.default_rng(0).uniform(-0.01, 0.03, (len(METRICS), SAMPLES))
_spent = 0.0


class Stack(nn.Module):
    """64 small layers: as many groups as the largest space needs."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(64))


def network() -> Stack:
    """The untrained module."""
    return Stack()


def score(model: nn.Module, samples: Any) -> dict[str, Any]:
    """Which samples a candidate gets right, by two of its weights; its own time is taken off the trial's."""
    global _spent
    started = time.perf_counter()
    levels = model.layers[0].bias[: len(METRICS)].tolist()  # type: ignore[union-attr, index]
    right = {
        name: (level > _DIFFICULTY[row, samples]) for row, (name, level) in enumerate(zip(METRICS, levels, strict=True))
    }
    scores = {name: values.astype(float) for name, values in right.items()}
    _spent += time.perf_counter() - started
    return scores


class Enough(Exception):
    """The last trial was measured; how a run ends is not."""


class Clock(Silent):
    """An observer that notes the time of every trial, the evaluator's taken off, and how many were scored in full."""

    def __init__(self, trials: int) -> None:
        self.trials = trials
        self.moments: list[float] = []
        self.visited: list[float] = []

    def trial(self, records: Sequence[Any]) -> None:
        """Note the end of a trial."""
        self.moments.append(time.perf_counter() - _spent)
        self.visited.append(records[-1].visited)
        if len(records) == self.trials:
            raise Enough

    def milliseconds(self, last: int, window: int = WINDOW) -> float:
        """Median over so many trials before number `last`."""
        return 1e3 * float(np.median(np.diff(self.moments[last - window - 1 : last])))


def measure(quick: bool) -> Outcome:
    """Run the random searcher with racing and without, in both stores, and a plain study, side by side."""
    few, many = (100, 200) if quick else (100, 1000)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _write_models(Path(folder))
        for dimension in DIMENSIONS:
            plain = _plain_optuna(Path(folder), dimension)
            sqlite = _clock(Path(folder), dimension, 26, False, f"sqlite:///{folder}/{dimension}.db").milliseconds(
                40, 20
            )
            for racing in (False, True):
                clock = _clock(Path(folder), dimension, many, racing, None)
                rows.append(
                    {
                        "dimensions": dimension,
                        "racing": "on" if racing else "off",
                        "scored in full": f"{np.mean(np.equal(clock.visited, 1)):.0%}",
                        f"ms per trial, trials to {few}": clock.milliseconds(few),
                        f"to {many:,}": clock.milliseconds(many),
                        "SQLite store": sqlite,
                        "plain Optuna, journal": plain,
                        "of plain Optuna": clock.milliseconds(many) / plain,
                    }
                )
    return Outcome("Overhead per trial", rows, _targets(rows[3], few, many), _NOTE)


def _targets(row: dict[str, Any], few: int, many: int) -> list[Target]:
    """Of 64 dimensions with racing."""
    early, late = row[f"ms per trial, trials to {few}"], row[f"to {many:,}"]
    name = "at 64 dimensions with racing"
    return [
        Target(f"ms per trial {name}, after {many:,} trials", late, 20),
        Target(f"over plain Optuna's {name}", late / row["plain Optuna, journal"], 1),
        Target(f"after {many:,} trials over that after {few} {name}", late / early, 2),
    ]


_NOTE = (
    f"Medians over the {WINDOW} trials before, of the random searcher, {MEMBERS} members, {SAMPLES} samples (half of "
    "them held out) with two metrics, the evaluator's time taken off. Plain Optuna suggests as many numbers with "
    "JournalStorage, and evaluates nothing; it is measured over 3 trials, and SQLite, without racing, over 12."
)


def _write_models(folder: Path) -> None:
    torch.manual_seed(0)
    base = {name: torch.zeros_like(value) for name, value in network().state_dict().items()}
    save_file(base, folder / "base.safetensors")
    for member in range(MEMBERS):
        changed = {name: value + 0.01 * torch.randn_like(value) for name, value in base.items()}
        save_file(changed, folder / f"member{member}.safetensors")


def _plain_optuna(folder: Path, dimension: int) -> float:
    """Milliseconds per trial of a study that suggests and tells, and does nothing else."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = JournalStorage(JournalFileBackend(str(folder / f"plain-{dimension}.log")))
    study = optuna.create_study(storage=storage, sampler=RandomSampler(seed=0))
    moments = []
    for _ in range(4):
        trial = study.ask()
        value = sum(trial.suggest_float(f"x{index}", 0, 1) for index in range(dimension))
        study.tell(trial, value)
        moments.append(time.perf_counter())
    return 1e3 * float(np.median(np.diff(moments)))


def _clock(folder: Path, dimension: int, trials: int, racing: bool, store: str | None) -> Clock:
    groups: Any = "model" if dimension == MEMBERS else {"blocks": dimension // MEMBERS}
    kind = f"{'journal' if store is None else 'sqlite'}-{dimension}-{'racing' if racing else 'plain'}"
    metrics = dict.fromkeys(METRICS, "maximize")
    config = Config(
        name=kind,
        models={
            "base": str(folder / "base.safetensors"),
            "members": [str(folder / "member*.safetensors")],
            "network": f"{__file__}:network",
            "device": "cpu",
        },
        space={"groups": groups, "kind": "box"},
        search={"searcher": "random"},
        evaluators={"toy": {"kind": "callable", "function": "__main__:score", "samples": SAMPLES, "metrics": metrics}},
        objectives=[f"toy/{name}" for name in METRICS],
        racing={"enabled": racing},
        budget={"trials": trials},
        out=str(folder / kind),  # none may use what another has found
        store=store,
    )
    clock = Clock(trials)
    with contextlib.suppress(Enough):
        run(config, clock)
    return clock


if __name__ == "__main__":
    main(measure, __doc__ or "")
