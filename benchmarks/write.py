"""Effective bandwidth of a write: bytes of base, deltas and written weights over time, beside the machine's ceiling.

The ceiling is the best of a large copy, a triad, and a read of as many streams as the write has, in turns with it in
the same process. Beside it, what people do without an engine: a loop of in-place additions, and arithmetic on state
dictionaries followed by `load_state_dict`. Runs on the accelerator, where there is one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from functools import partial
from itertools import product

import numpy as np
import torch
from _ceiling import Ceiling, interleaved, share
from _harness import Outcome, Target, main
from _llama import bound, llama, weights_of
from torch import nn

from mergesearch.engine.bank.layout import Slot
from mergesearch.engine.devices.devices import HOST, resolve_device
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.storage.delta import Delta, TunedWeights, tensors
from mergesearch.spaces.table import CoefficientTable

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
STORAGES = ("exact", "fp16")
MEMBERS = (2, 4, 8)
Row = dict[str, str | int | float]


def measure(quick: bool) -> Outcome:
    """Every dtype, storage and number of members, one after another."""
    device = resolve_device("auto")
    rows = [_case(*case, device, quick) for case in product(DTYPES, STORAGES, MEMBERS)]
    limit = 0.85 if device == HOST else 0.9
    targets = [
        Target(f"{dtype} weights, lowest median share of the ceiling", _lowest(rows, dtype), limit, at_most=False)
        for dtype in DTYPES
    ]
    note = (
        f"{rows[0]['weights, M']:.0f} million weights of a Llama on {device.type}, one coefficient per layer and "
        "member. GB/s and shares are of the best round; the last column is the median over rounds of the share in one."
    )
    return Outcome("Bandwidth of a write", rows, targets, note)


def _lowest(rows: list[Row], dtype: str) -> float:
    return min(float(row["median share"]) for row in rows if row["weights"] == dtype)


def _case(dtype: str, storage: str, members: int, device: torch.device, quick: bool) -> Row:
    """Measure one case, and leave nothing of it in memory."""
    model = llama(layers=1 if quick else 12, width=1024, vocabulary=2000 if quick else 32000, dtype=DTYPES[dtype])
    live = bound(model.to(device), members, storage, kernel="compiled")
    row: Row = {"weights": dtype, "deltas": storage, "K": members, "weights, M": weights_of(model) / 1e6}
    row |= _figures(live, rounds=3 if quick else 15)
    del model, live
    gc.collect()
    return row


def _figures(live: LiveModel, rounds: int) -> Row:
    (segment,) = live.bank.segments
    kept = [tensor for delta in segment.deltas for tensor in tensors(delta)]
    streams = [segment.base, *kept, *live.weights.buffers]
    ceiling = Ceiling(streams)
    table = _table(live)
    passes: dict[str, Callable[[], object]] = {"write": partial(live.write, table), **ceiling.passes}
    moved = {"write": sum(stream.nbytes for stream in streams), **ceiling.bytes}
    seconds = interleaved(passes, rounds, segment.device)
    usual = {"in place": in_place(live, table), "state dict": state_dict(live, table)}
    seconds |= interleaved(usual, max(1, rounds // 5), segment.device)
    best = {name: min(each) for name, each in seconds.items()}
    highest = max(ceiling.bytes, key=lambda name: moved[name] / best[name])
    of_best, of_median = share("write", moved, seconds)
    return {
        "ms": 1e3 * best["write"],
        "GB/s": moved["write"] / best["write"] / 1e9,
        "ceiling, GB/s": moved[highest] / best[highest] / 1e9,
        "set by": highest,
        "in-place loop": best["in place"] / best["write"],
        "state dict": best["state dict"] / best["write"],
        "share of the ceiling": of_best,
        "median share": of_median,
    }


def _table(live: LiveModel) -> CoefficientTable:
    shape = (len(live.groups), len(live.bank.members))
    return CoefficientTable.of(np.random.default_rng(0).uniform(0.1, 0.4, shape))


def in_place(live: LiveModel, table: CoefficientTable) -> Callable[[], None]:
    """The loop over tensors: copy the base's, then add one member after the other, rounding every time."""
    terms = _terms(live, table)

    def write() -> None:
        for _, weight, base, deltas in terms:
            weight.copy_(base)
            for coefficient, delta in deltas:
                weight.add_(delta, alpha=coefficient)

    return write


def state_dict(live: LiveModel, table: CoefficientTable) -> Callable[[], object]:
    """The sum over state dictionaries, tensor by tensor, which the model then loads."""
    terms = _terms(live, table)

    def write() -> object:
        merged = {name: base + sum(c * delta for c, delta in deltas) for name, _, base, deltas in terms}
        module: nn.Module = live.model
        return module.load_state_dict(merged, strict=False)

    return write


Term = tuple[str, torch.Tensor, torch.Tensor, list[tuple[float, torch.Tensor]]]


def _terms(live: LiveModel, table: CoefficientTable) -> list[Term]:
    """Name, live weight, base, and coefficient and task vector of each member, for each tensor."""
    (segment,) = live.bank.segments
    weights = live.tensors()
    found = []
    for slot in segment.slots:
        scales = segment.scales[slot.first].tolist()
        row = table.members[live.groups.of[slot.name]].tolist()
        base = slot.view(segment.base)
        deltas = [(c * s, _vector(slot, delta, base)) for c, s, delta in zip(row, scales, segment.deltas, strict=True)]
        found.append((slot.name, weights[slot.name], base, deltas))
    return found


def _vector(slot: Slot, delta: Delta, base: torch.Tensor) -> torch.Tensor:
    """A tensor's task vector as one keeps it without an engine: in the dtype that its difference has, or was given."""
    if isinstance(delta, TunedWeights):
        return slot.view(delta.weights) - base
    (dense,) = tensors(delta)
    return slot.view(dense)


if __name__ == "__main__":
    main(measure, __doc__ or "")
