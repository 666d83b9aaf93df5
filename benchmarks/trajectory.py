"""A candidate of 40 snapshots: how long it takes to write, what it reads from disk, and what memory the run needs.

The engine against one pass over the snapshots' memory (a sum), and against the usual loop, which forms the difference
to the base, scales and adds it, tensor by tensor, with a temporary for each. All of it in one fresh process.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from _harness import Outcome, Target, main
from safetensors.torch import load_file, save_file
from torch import nn

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.storage.delta import tensors
from mergesearch.spaces.affine import Affine
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

SNAPSHOTS = 40
LAYERS, WIDTH = 100, 320  # 10.3 million weights


class Stack(nn.Module):
    """Many matrices of one size, which are never multiplied with anything."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(LAYERS))


def network() -> nn.Module:
    """For `models.network`."""
    return Stack()


def measure(quick: bool) -> Outcome:
    """Write the snapshots to disk, and measure in a process that has done nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(folder))
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            found = process.submit(_measure, folder, 5 if quick else 20).result()
    pass_ms, bank = found["memory pass, ms"], SNAPSHOTS * found["weights"] * 4 / 1e6
    rows = [
        {"candidate of 40 snapshots": name, "ms": found[f"{name}, ms"], "memory passes": found[f"{name}, ms"] / pass_ms}
        for name in ("memory pass", "engine", "difference loop")
    ]
    limit = bank + 3 * found["weights"] * 4 / 1e6 + 300
    targets = [
        Target("bytes read from disk by a candidate", found["bytes read"], 0),
        Target("engine, memory passes", found["engine, ms"] / pass_ms, 1.5),
        Target("difference loop over engine", found["difference loop, ms"] / found["engine, ms"], 3, at_most=False),
        Target("peak memory beyond Python and its libraries, MB", found["peak, MB"] - found["before, MB"], limit),
    ]
    note = (
        f"{found['weights'] / 1e6:.1f} million fp32 weights in {2 * LAYERS} tensors, {bank:.0f} MB of snapshots; the "
        "best of several, taken in turns. The process that opens, builds and writes peaks at "
        f"{found['peak, MB']:.0f} MB: {found['before, MB']:.0f} MB of Python and its libraries, and the bank of "
        f"{found['bank, MB']:.0f} MB, which holds what makes every snapshot come back bit for bit."
    )
    return Outcome("A candidate of 40 snapshots", rows, targets, note)


def _save(folder: Path) -> None:
    torch.manual_seed(0)
    state = network().state_dict()
    for step in range(1, SNAPSHOTS + 1):
        state = {name: value + 1e-3 * torch.randn_like(value) for name, value in state.items()}
        save_file(state, folder / f"step_{step:03d}.safetensors")


def _measure(folder: str, repeats: int) -> dict[str, float]:
    before = _peak()
    live = _opened(folder)
    rng = np.random.default_rng(0)
    space = Affine(SNAPSHOTS, -10.0, 10.0)
    tables = [space.table(rng.normal(0.0, 1.0, SNAPSHOTS - 1)) for _ in range(repeats + 2)]
    for table in tables[:2]:  # the first one compiles
        live.write(table)
    deltas = [tensor for segment in live.bank.segments for delta in segment.deltas for tensor in tensors(delta)]
    read, turns = _bytes_read(), []
    for table in tables[2:]:
        turns.append((_milliseconds(partial(live.write, table)), _milliseconds(partial(_sums, deltas))))
    engine, memory_pass = (min(turn[which] for turn in turns) for which in (0, 1))
    found = {"bytes read": float(_bytes_read() - read), "engine, ms": engine, "memory pass, ms": memory_pass}
    found |= {"peak, MB": _peak(), "before, MB": before, "bank, MB": live.bank.bytes / 1e6}
    weights = {name: value.clone() for name, value in live.tensors().items()}
    found["weights"] = float(sum(value.numel() for value in weights.values()))
    snapshots = [load_file(path) for path in sorted(Path(folder).iterdir())]
    loop = [_milliseconds(partial(_difference_loop, snapshots, tables[-1])) for _ in range(max(3, repeats // 4))]
    merged = _difference_loop(snapshots, tables[-1])
    assert all(torch.allclose(merged[name], value, atol=1e-4) for name, value in weights.items())
    return found | {"difference loop, ms": min(loop)}


def _opened(folder: str) -> LiveModel:
    models = Models(ModelPaths(trajectory=f"{folder}/*", network=f"{__file__}:network", device="cpu"))
    return models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))


def _difference_loop(snapshots: list[dict[str, torch.Tensor]], table: CoefficientTable) -> Mapping[str, torch.Tensor]:
    merged = {}
    for name, base in snapshots[0].items():
        total = base.clone()
        for snapshot, coefficient in zip(snapshots[1:], table.members[0, 1:].tolist(), strict=True):
            total = total + coefficient * (snapshot[name] - base)
        merged[name] = total
    return merged


def _sums(buffers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Read every buffer once."""
    return [buffer.sum() for buffer in buffers]


def _milliseconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return 1e3 * (time.perf_counter() - started)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def _bytes_read() -> int:
    lines = Path("/proc/self/io").read_text(encoding="utf-8").splitlines()
    return int(dict(line.split(": ") for line in lines)["read_bytes"])


if __name__ == "__main__":
    main(measure, __doc__ or "")
