"""Time and memory of a candidate against the weights, the members and the groups; `--record` draws them as a PNG.

Time should grow with the bytes that a write moves, (K + 2)·P·4 in fp32, and so should memory; neither with groups.
"""

from __future__ import annotations

import gc
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import psutil
import torch
from _ceiling import interleaved
from _harness import Figure, Outcome, Target, main
from _llama import bound, llama, weights_of

from mergesearch.engine.devices.devices import HOST, resolve_device
from mergesearch.engine.devices.memory import memory_of
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.network.places import tensor_places
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

WIDTH, VOCABULARY = 1024, 2000
LAYERS = (1, 2, 4, 8, 16)  # 16 to 187 million weights: the least write moves 0.4 GB, far beyond any cache
MEMBERS = (1, 2, 4, 8, 16, 32)
GROUPINGS = ("model", "layers", "layers x kinds", "tensors")
Row = dict[str, Any]


def measure(quick: bool) -> Outcome:
    """Vary one thing at a time."""
    rounds = 5 if quick else 15
    layers, members = (LAYERS[:3], MEMBERS[:4]) if quick else (LAYERS, MEMBERS)
    _series("warm up", [(1, 4)], 1)  # imports, the compiler and the noise that members are made of take memory, too
    rows = _series("P", [(depth, 4) for depth in layers], rounds)
    rows += _series("K", [(layers[1], count) for count in members], rounds)
    rows += _grouped(layers[-2], rounds)
    targets = [
        target
        for varied, factor in (("P", "P, million"), ("K", "K + 2"))
        for quantity in ("ms", "memory, MB")
        for target in _linear(varied, factor, quantity, [row for row in rows if row["varied"] == varied])
    ]
    times = [float(row["ms"]) for row in rows if row["varied"] == "groups"]
    targets.append(Target("ms with one group per tensor over one group", times[-1] / times[0], 1.15))
    note = "fp32. Slopes are least-squares fits of the logarithms; over K they are taken against K + 2, the streams."
    figure = Figure("scale.png", partial(_drawn, rows))
    return Outcome("Scaling of a candidate", rows, targets, note, figure)


def _linear(varied: str, factor: str, quantity: str, rows: Sequence[Row]) -> list[Target]:
    x, y = (np.log([float(row[column]) for row in rows]) for column in (factor, quantity))
    slope = float(np.polyfit(x, y, 1)[0])
    name = f"{quantity} against {varied}: slope of the logarithms"
    return [Target(name, slope, 0.85, at_most=False), Target(name, slope, 1.15)]


def _series(varied: str, cases: Sequence[tuple[int, int]], rounds: int) -> list[Row]:
    """Bind a model for each case of layers and members, and write candidates in turns: bandwidth comes and goes."""
    device = resolve_device("auto")
    lives, memory = [], []
    for layers, members in cases:
        model = llama(layers, WIDTH, VOCABULARY, torch.float32).to(device)
        before = _used(device)
        lives.append(bound(model, members, "exact", "layers", kernel="compiled"))
        # The model's first weights are gone: the live ones stand in their place.
        memory.append(_used(device) - before + 4 * weights_of(model))
    passes = {str(number): partial(live.write, _table(live)) for number, live in enumerate(lives)}
    seconds = interleaved(passes, rounds, device)
    return [
        _row(varied, weights_of(live.model), live, min(seconds[str(number)]), memory[number])
        for number, live in enumerate(lives)
    ]


def _grouped(layers: int, rounds: int) -> list[Row]:
    """One bank under every grouping, written in turns."""
    device = resolve_device("auto")
    model = llama(layers, WIDTH, VOCABULARY, torch.float32).to(device)
    bank = bound(model, 4, "exact").bank
    groupings = (group_tensors(tensor_places(model), by) for by in GROUPINGS)
    lives = {len(groups): LiveModel(model, bank, groups, "compiled") for groups in groupings}
    passes = {str(count): partial(live.write, _table(live)) for count, live in lives.items()}
    seconds = interleaved(passes, rounds, device)
    memory = bank.bytes + 4 * weights_of(model)
    return [_row("groups", weights_of(model), live, min(seconds[str(count)]), memory) for count, live in lives.items()]


def _row(varied: str, weights: int, live: LiveModel, seconds: float, memory: float) -> Row:
    members = len(live.bank.members)
    return {
        "varied": varied,
        "P, million": weights / 1e6,
        "K": members,
        "K + 2": members + 2,
        "groups": len(live.groups),
        "ms": 1e3 * seconds,
        "GB/s": 4 * weights * (members + 2) / seconds / 1e9,
        "memory, MB": memory / 1e6,
    }


def _table(live: LiveModel) -> CoefficientTable:
    shape = (len(live.groups), len(live.bank.members))
    return CoefficientTable.of(np.random.default_rng(0).uniform(0.1, 0.4, shape))


def _used(device: torch.device) -> float:
    """Bytes that this process holds on the CPU, or that anybody does on an accelerator."""
    gc.collect()
    if device == HOST:
        return float(psutil.Process().memory_info().rss)
    memory = memory_of(device)
    return float(memory.total - memory.free)


def _drawn(rows: Sequence[Row]) -> bytes:
    """Time above memory, against P, K and groups, on log axes."""
    from matplotlib.figure import Figure as Drawing

    drawing = Drawing(figsize=(10, 5.5), layout="constrained")
    axes = drawing.subplots(2, 3, sharey="row")
    for column, (varied, along) in enumerate((("P", "P, million"), ("K", "K"), ("groups", "groups"))):
        points = [row for row in rows if row["varied"] == varied]
        for line, quantity in enumerate(("ms", "memory, MB")):
            panel = axes[line, column]
            places = [row[along] for row in points]
            panel.loglog(places, [row[quantity] for row in points], "o-", color="#2b6cb0")
            panel.set_xticks(places, [f"{place:.3g}" for place in places])
            panel.set_xticks([], minor=True)
            panel.set_xlabel(along)
            panel.grid(visible=True, which="both", alpha=0.25)
            if not column:
                panel.set_ylabel("write, ms" if quantity == "ms" else quantity)
    file = io.BytesIO()
    drawing.savefig(file, format="png", dpi=120)
    return file.getvalue()


if __name__ == "__main__":
    main(measure, __doc__ or "")
