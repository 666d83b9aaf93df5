"""Time per trial outside of the evaluator: proposing, writing the candidate, saving scores, appending to the store."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from _harness import Outcome, Target, main
from safetensors.torch import save_file
from torch import nn

from mergesearch import Config, run

MEMBERS = 8
DIMENSIONS = (8, 64, 512)
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
    """A cheap score per sample that depends on the weights; its own time is taken off the trial's."""
    global _spent
    started = time.perf_counter()
    level = float(model.layers[0].weight.mean())  # type: ignore[union-attr, index]
    scores = {"score": [level + index * 1e-3 for index in samples]}
    _spent += time.perf_counter() - started
    return scores


class Clock:
    """An observer that notes the time of every trial, the evaluator's taken off."""

    def __init__(self) -> None:
        self.moments: list[float] = []

    def placed(self, place: str) -> None:
        """Where the deltas lie costs no time."""

    def started(self, plan: Any, records: Sequence[Any]) -> None:
        """Note the start."""
        self.trial(records)

    def trial(self, records: Sequence[Any]) -> None:
        """Note the end of a trial."""
        self.moments.append(time.perf_counter() - _spent)

    def confirmed(self, done: int) -> None:
        """Confirmations are not measured."""

    def held_out(self, done: int, total: int) -> None:
        """Held-out samples are not measured."""

    def milliseconds(self, skipped: int) -> float:
        """Median over the trials after the first `skipped`."""
        pairs = zip(self.moments[skipped:], self.moments[skipped + 1 :], strict=False)
        return 1e3 * statistics.median(after - before for before, after in pairs)


def measure(quick: bool) -> Outcome:
    """Run the random searcher with the default store and with SQLite, side by side."""
    trials = 50 if quick else 120
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _write_models(Path(folder))
        for dimension in DIMENSIONS:
            journal = _per_trial(Path(folder), dimension, trials, None)
            sqlite = _per_trial(Path(folder), dimension, trials, f"sqlite:///{folder}/{dimension}.db")
            rows.append(
                {
                    "dimensions": dimension,
                    "default store, ms per trial": journal,
                    "SQLite, ms per trial": sqlite,
                    "ratio": sqlite / journal,
                }
            )
    targets = [
        Target("ms per trial at 64 dimensions, default store", float(rows[1]["default store, ms per trial"]), 20)
    ]
    note = f"Medians over {trials - 25} trials of the random searcher, {MEMBERS} members, evaluator's time taken off."
    return Outcome("Overhead per trial", rows, targets, note)


def _write_models(folder: Path) -> None:
    torch.manual_seed(0)
    base = network().state_dict()
    save_file(base, folder / "base.safetensors")
    for member in range(MEMBERS):
        changed = {name: value + 0.01 * torch.randn_like(value) for name, value in base.items()}
        save_file(changed, folder / f"member{member}.safetensors")


def _per_trial(folder: Path, dimension: int, trials: int, store: str | None) -> float:
    groups: Any = "model" if dimension == MEMBERS else {"blocks": dimension // MEMBERS}
    kind = "journal" if store is None else "sqlite"
    config = Config(
        name=f"{kind}-{dimension}",
        models={
            "base": str(folder / "base.safetensors"),
            "members": [str(folder / "member*.safetensors")],
            "network": f"{__file__}:network",
            "device": "cpu",
        },
        space={"groups": groups, "kind": "box"},
        search={"searcher": "random"},
        evaluators={
            "toy": {"kind": "callable", "function": "__main__:score", "samples": 200, "metrics": {"score": "maximize"}}
        },
        objectives=["toy/score"],
        budget={"trials": trials},
        out=str(folder),
        store=store,
    )
    clock = Clock()
    run(config, clock)
    return clock.milliseconds(skipped=25)


if __name__ == "__main__":
    main(measure, __doc__ or "")
