"""Eight candidates written from one read of the deltas, beside eight writes of one candidate each: 40 members.

Both run in turns in the same process, and the candidates must agree bit for bit.
"""

from __future__ import annotations

import gc
import statistics
from functools import partial

import numpy as np
import torch
from _ceiling import interleaved
from _harness import Outcome, Target, main
from _llama import bound, llama, weights_of

from mergesearch.engine.devices.devices import resolve_device
from mergesearch.engine.live.live import LiveModel
from mergesearch.spaces.table import CoefficientTable

MEMBERS, CANDIDATES = 40, 8
CASES = (("fp32", torch.float32, "exact"), ("bf16", torch.bfloat16, "fp16"))
Row = dict[str, str | int | float]


def measure(quick: bool) -> Outcome:
    """Both dtypes, one after another."""
    rows = [_case(name, dtype, storage, quick) for name, dtype, storage in CASES]
    targets = [
        Target(f"{row['weights']} weights, one pass over {CANDIDATES} single ones", float(row["of best"]), 0.3)
        for row in rows
    ]
    note = (
        f"{rows[0]['weights, M']:.0f} million weights, {MEMBERS} members, one coefficient per layer and member; "
        f"{CANDIDATES} candidates, equal bit for bit both ways. Times and 'of best' are of the best round."
    )
    return Outcome(f"{CANDIDATES} candidates from one read of {MEMBERS} deltas", rows, targets, note)


def _case(name: str, dtype: torch.dtype, storage: str, quick: bool) -> Row:
    model = llama(layers=1 if quick else 5, width=768, vocabulary=2000 if quick else 8000, dtype=dtype)
    live = bound(model.to(resolve_device("auto")), MEMBERS, storage, kernel="compiled")
    row: Row = {"weights": name, "deltas": storage, "weights, M": weights_of(model) / 1e6}
    row |= _figures(live, rounds=3 if quick else 9)
    del model, live
    gc.collect()
    return row


def _figures(live: LiveModel, rounds: int) -> Row:
    rng = np.random.default_rng(0)
    shape = (len(live.groups), MEMBERS)
    tables = [CoefficientTable.of(rng.uniform(-0.1, 0.1, shape)) for _ in range(CANDIDATES)]
    copies = live.copies(CANDIDATES)

    def singly() -> None:
        for table in tables:
            live.write(table)

    batch = partial(live.write_batch, tables, copies)
    seconds = interleaved({"batch": batch, "singly": singly}, rounds, live.bank.devices[0])
    for table, copy in zip(tables, copies, strict=True):
        live.write(table)
        assert all(map(_same_bits, live.weights.buffers, copy.buffers))
    ratios = [one / eight for one, eight in zip(seconds["batch"], seconds["singly"], strict=True)]
    return {
        "one pass, ms": 1e3 * min(seconds["batch"]),
        f"{CANDIDATES} passes, ms": 1e3 * min(seconds["singly"]),
        "of best": min(seconds["batch"]) / min(seconds["singly"]),
        "of median": statistics.median(ratios),
    }


def _same_bits(left: torch.Tensor, right: torch.Tensor) -> bool:
    return torch.equal(left.view(torch.uint8), right.view(torch.uint8))


if __name__ == "__main__":
    main(measure, __doc__ or "")
