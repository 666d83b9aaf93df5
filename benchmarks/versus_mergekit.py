"""The same merges of four models by mergekit and by the engine: as commands, in one process, and weight by weight.

A base and three members, Llama-shaped, bf16, random; the files lie in the system's cache for both. mergekit's command
reads, merges and writes a model in a fresh process; our first candidate opens, builds the bank and writes the live
model in a fresh process; a warm candidate is one more write. mergekit's graph runs in this process, planned before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from _first_candidate import opened, table
from _harness import Outcome, Target, main
from _llama import llama, save_models, weights_of
from _mergekit import Recipe, command, graph, written

from mergesearch.engine.live.live import LiveModel

WEIGHTS = [0.4, 0.3, 0.2, 0.1]
DENSITY = 0.2
_SLACK = 1e-8  # what fp32 sums of weights of this size may differ by before they are rounded
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Merge:
    """One merge, theirs and ours: c₀, one coefficient per member, and the density of TIES' trimming."""

    name: str
    recipe: Recipe
    base: float
    row: list[float]
    density: float | None = None

    @property
    def runs(self) -> int:
        """How often each side is run; TIES takes mergekit minutes."""
        return 1 if self.density else 3


MERGES = (
    Merge("linear", Recipe("linear", WEIGHTS, {"normalize": False}, "bfloat16"), sum(WEIGHTS), WEIGHTS[1:]),
    Merge("task arithmetic", Recipe("task_arithmetic", WEIGHTS[1:], {"normalize": False}), 1.0, WEIGHTS[1:]),
    Merge(
        "TIES",
        Recipe("ties", [1.0, 1.0, 1.0], {"normalize": True, "density": DENSITY, "int8_mask": False}),
        1.0,
        [1.0, 1.0, 1.0],
        DENSITY,
    ),
)


def measure(quick: bool) -> Outcome:
    """Save the models, then run every merge on both sides."""
    with tempfile.TemporaryDirectory(prefix="mergesearch-benchmark-") as name:
        folder = Path(name)
        model = llama(2 if quick else 16, 512 if quick else 1536, 2000 if quick else 32000, torch.bfloat16)
        size = weights_of(model)
        save_models(model, 3, folder)
        del model
        rows = [compare(merge, folder) for merge in MERGES]
    targets = [target for row in rows for target in _targets(row)]
    note = (
        f"{size / 1e6:.0f} million weights a model. mergekit computes the linear merge in bf16, its fastest setting, "
        "for it sums in fp32 even so, and the others in fp32, where it rounds once as we do. Flavours: our c₀ is the "
        "sum of linear's weights; TIES has equal weights, for mergekit's vote is weighted and ours is not, and "
        "normalises by the members that agree. 'Undecided' are weights with a delta exactly as large as the smallest "
        f"that is kept: of those each keeps others. One rounding: a unit in the last place, and {_SLACK:g}."
    )
    return Outcome("Merges by mergekit and by the engine", rows, targets, note)


def compare(merge: Merge, folder: Path) -> Row:
    """Times of one merge on both sides, and how far the weights agree."""
    out = folder / "merged"
    theirs = command(merge.recipe, folder, out, merge.runs)
    own_graph = graph(merge.recipe, folder, merge.runs)
    cold = min(first_candidate(merge, folder) for _ in range(1 + merge.runs))
    live = opened(folder, merge.density)
    warm = _warm(live, merge)
    agreement = _agreement(live, merge, folder, out)
    return {
        "merge": merge.name,
        "command, s": theirs,
        "its graph, s": own_graph,
        "first candidate, s": cold,
        "warm candidate, ms": 1e3 * warm,
        "command / warm": theirs / warm,
        "graph / warm": own_graph / warm,
        "command / first": theirs / cold,
        **agreement,
    }


def _targets(row: Row) -> Iterator[Target]:
    for ratio, limit in (("command / warm", 100), ("graph / warm", 10), ("command / first", 1.5)):
        yield Target(f"{row['merge']}: {ratio}", float(row[ratio]), limit, at_most=False)
    beyond = float(row["beyond one rounding"]) - float(row["of those undecided"])
    yield Target(f"{row['merge']}: decided weights beyond one rounding", beyond, 0)


def first_candidate(merge: Merge, folder: Path) -> float:
    """Seconds from the start of a fresh process until its first candidate stands."""
    asked = json.dumps([str(folder), merge.base, merge.row, merge.density])
    script = Path(__file__).with_name("_first_candidate.py")
    started = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, script, asked], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    assert line, "no first candidate"
    return seconds


def _warm(live: LiveModel, merge: Merge) -> float:
    candidate, seconds = table(live, merge.base, merge.row), []
    for _ in range(10):
        started = time.perf_counter()
        live.write(candidate)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def _agreement(live: LiveModel, merge: Merge, folder: Path, out: Path) -> Mapping[str, str | int | float]:
    """How many weights are equal, how many differ by more than one rounding, and the largest difference."""
    ours = live.tensors()
    equal, beyond, explained, largest = 0, 0, 0, 0.0
    for name, theirs in written(out):
        value = ours[name].cpu()
        difference = (value.double() - theirs.double()).abs()
        unit = torch.finfo(theirs.dtype).eps * torch.maximum(value.double().abs(), theirs.double().abs())
        outside = difference > unit + _SLACK
        equal += int((value == theirs).sum())
        beyond += int(outside.sum())
        if merge.density and outside.any():
            explained += int((outside & _undecided(name, merge.density, folder)).sum())
        largest = max(largest, float((difference - _SLACK).div(unit.clamp(min=1e-12)).max()))
    weights = sum(value.numel() for value in ours.values())
    return {
        "equal": equal / weights,
        "beyond one rounding": beyond,
        "of those undecided": explained,
        "largest, units": largest,
    }


def _undecided(name: str, density: float, folder: Path) -> torch.Tensor:
    """Where some member's delta is exactly as large as the smallest that trimming keeps: more such than room."""
    from safetensors import safe_open

    def read(model: Path) -> torch.Tensor:
        with safe_open(model / "model.safetensors", framework="pt") as file:
            value: torch.Tensor = file.get_tensor(name)
            return value.float()

    base = read(folder / "base")
    found = torch.zeros(base.shape, dtype=torch.bool)
    for member in sorted(folder.glob("member*")):
        magnitude = (read(member) - base).abs()
        kept = max(1, int(density * magnitude.numel()))
        found |= magnitude == magnitude.view(-1).topk(kept).values[-1]
    return found


if __name__ == "__main__":
    main(measure, __doc__ or "")
