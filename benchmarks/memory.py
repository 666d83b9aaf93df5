"""Peak resident memory of building a bank and writing 20 candidates, in memory and from a file, in fresh processes.

A random Llama and members made of it, saved as transformers folders. Beside it, in one process, the time of a write
from the file over that of a write from memory, with the file in the system's cache and without.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import Outcome, Target, main
from safetensors.torch import load_file, save_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.tiers.keeping import Keeping
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

CANDIDATES = 20
DISTINCT = 4  # members on disk; larger banks hold each of them several times, under names of their own
SIGMA = 1e-3
GB = 1e9


@dataclass(frozen=True)
class Case:
    """One fresh process: how many members of which model, kept how and where."""

    folder: str
    dtype: str
    members: int
    storage: str
    tier: str


def measure(quick: bool) -> Outcome:
    """Measure all cases on one model."""
    with tempfile.TemporaryDirectory(prefix="mergesearch-benchmark-") as folder:
        kept = [("bfloat16", "fp16"), *([] if quick else [("float32", "exact")])]
        for dtype, _ in kept:
            _save(Path(folder) / dtype, getattr(torch, dtype), quick)
        cases = [Case(folder, *kind, "device") for kind in _crossed(kept, (2, 8))]
        cases += [Case(folder, *kind, "file") for kind in _crossed(kept, (2, 8) if quick else (2, 8, 32))]
        found = [(case, _in_a_fresh_process(_peak_of, case)) for case in cases]
        speed = _in_a_fresh_process(_ratios, Case(folder, "bfloat16", 8, "fp16", "file"))
    rows = [_row(case, one) for case, one in found]
    targets = [
        Target(f"peak, GB: {c.dtype}, {c.storage}, {c.tier}, K={c.members}", one["peak"], round(_limit(c, one), 3))
        for c, one in found
    ]
    note = (
        f"{found[0][1]['weights'] / 1e6:.0f} million weights, {CANDIDATES} candidates after the bank was built. "
        f"The peak holds Python and its libraries ({found[0][1]['before']:.2f} GB before anything is opened), and no "
        "pages of the system's file cache. The limits: 1.05 × (live + base + deltas) + 1 GB in memory, live + 2 GB "
        "with the file tier. A write from the file, K=8, over one from memory: "
        f"{speed['warm']:.2f} with the file in that cache, {speed['cold']:.2f} read from the disk "
        f"({speed['disk']:.1f} GB/s); medians of {speed['rounds']:.0f}, taken in turns."
    )
    return Outcome("Peak memory of a bank and 20 candidates", rows, targets, note)


def _row(case: Case, found: dict[str, float]) -> dict[str, str | int | float]:
    return {
        "weights": case.dtype,
        "deltas": case.storage,
        "tier": case.tier,
        "K": case.members,
        "live, GB": found["live"],
        "base and deltas, GB": found["bank"],
        "peak, GB": found["peak"],
        "limit, GB": _limit(case, found),
    }


def _crossed(kinds: list[tuple[str, str]], members: tuple[int, ...]) -> list[tuple[str, int, str]]:
    return [(dtype, count, storage) for dtype, storage in kinds for count in members]


def _limit(case: Case, found: dict[str, float]) -> float:
    return found["live"] + 2 if case.tier == "file" else 1.05 * (found["live"] + found["bank"]) + 1


def _in_a_fresh_process(function: Callable[[Case], dict[str, float]], case: Case) -> dict[str, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function, case).result()


def _save(folder: Path, dtype: torch.dtype, quick: bool) -> None:
    """A random Llama (123 million weights) and its members."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 512, "intermediate_size": 1408, "num_hidden_layers": 2, "vocab_size": 8000}
    if not quick:
        sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 7, "vocab_size": 32000}
    config = LlamaConfig(**sizes, num_attention_heads=8, tie_word_embeddings=True)
    model: Any = LlamaForCausalLM(config)
    model.to(dtype).save_pretrained(folder / "base")
    for number in range(DISTINCT):
        shutil.copytree(folder / "base", folder / f"member {number}")
        file = folder / f"member {number}" / "model.safetensors"
        state = {
            n: (t + SIGMA * torch.randn_like(t)).contiguous() for n, t in load_file(folder / "base" / file.name).items()
        }
        save_file(state, file, {"format": "pt"})


def _peak_of(case: Case) -> dict[str, float]:
    before = _peak()
    live = _opened(case)
    for table in _tables(live, CANDIDATES):
        live.write(table)
    weights = sum(tensor.numel() for tensor in live.tensors().values())
    held = sum(tensor.nbytes for tensor in live.tensors().values())
    return {
        "before": before,
        "peak": _peak(),
        "live": held / GB,
        "bank": live.bank.bytes / GB,
        "weights": float(weights),
    }


def _ratios(case: Case) -> dict[str, float]:
    """Seconds of a write from the file over those of one from memory, bit for bit the same."""
    file = Path(case.folder) / "ratios.bank"
    mapped, memory = _opened(case, file), _opened(Case(case.folder, case.dtype, case.members, case.storage, "device"))
    times: dict[str, list[float]] = {"memory": [], "warm": [], "cold": []}
    for table in _tables(mapped, 7):
        times["memory"].append(_seconds(partial(memory.write, table)))
        times["warm"].append(_seconds(partial(mapped.write, table)))
        _forget(file)
        times["cold"].append(_seconds(partial(mapped.write, table)))
        pairs = zip(mapped.tensors().values(), memory.tensors().values(), strict=True)
        assert all(torch.equal(left, right) for left, right in pairs)
    middle = {name: statistics.median(seconds[1:]) for name, seconds in times.items()}
    ratios = {name: middle[name] / middle["memory"] for name in ("warm", "cold")}
    return ratios | {"disk": mapped.bank.bytes / GB / middle["cold"], "rounds": float(len(times["memory"]) - 1)}


def _opened(case: Case, file: Path | None = None) -> LiveModel:
    logging.disable(logging.WARNING)  # that members are the same is meant
    folder = Path(case.folder) / case.dtype
    members = {f"m{number}": str(folder / f"member {number % DISTINCT}") for number in range(case.members)}
    models = Models(ModelPaths(str(folder / "base"), members, device="cpu"))
    bank = models.build_bank(BankOptions(case.storage), Keeping(case.tier, str(file) if file else None))
    return models.live(bank, group_tensors(models.places(), "layers"))


def _tables(live: LiveModel, count: int) -> list[CoefficientTable]:
    rng = np.random.default_rng(0)
    shape = len(live.groups), len(live.bank.members)
    return [CoefficientTable(rng.uniform(0, 1, shape), np.ones(shape[0])) for _ in range(count)]


def _forget(file: Path) -> None:
    """Drop the file from the system's cache."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _peak() -> float:
    """Largest resident memory of this process so far, GB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) * 1024 / GB


if __name__ == "__main__":
    main(measure, __doc__ or "")
