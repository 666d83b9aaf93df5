"""The whole of a first candidate in a fresh process: opening, bank, binding, write. Prints a line when it stands."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.transforms.ties import Ties
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable


def opened(folder: Path, density: float | None, clock: Any = lambda phase: None) -> LiveModel:
    """Open the models in a folder, build a bank (of TIES' deltas, if a density is given), and bind."""
    members = {path.name: str(path) for path in sorted(folder.glob("member*"))}
    models = Models(ModelPaths(str(folder / "base"), members))
    groups = group_tensors(models.places(), "layers")
    clock("opening")
    bank = models.build_bank(BankOptions(transform=Ties(density) if density else None))
    clock("bank")
    live = models.live(bank, groups)
    clock("binding")
    return live


def table(live: LiveModel, base: float, row: list[float]) -> CoefficientTable:
    """The same row for every group."""
    groups = len(live.groups)
    return CoefficientTable(np.tile(np.array(row), (groups, 1)), np.full(groups, base))


def main() -> None:
    """Folder, c₀, row and density as JSON in the first argument."""
    folder, base, row, density = json.loads(sys.argv[1])
    phases: dict[str, float] = {}
    last = time.perf_counter()

    def clock(phase: str) -> None:
        nonlocal last
        phases[phase] = time.perf_counter() - last
        last = time.perf_counter()

    live = opened(Path(folder), density, clock)
    live.write(table(live, base, row))
    clock("write")
    print(json.dumps(phases), flush=True)


if __name__ == "__main__":
    main()
