"""LoRA members beside the base against LoRA members merged into it: memory, and the time of a candidate.

A random Llama and random adapters of all its linear layers, saved by PEFT. Memory is measured in fresh processes, all
times in turns in one.
"""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _harness import Outcome, Target, main
from _llama import llama, weights_of

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.live.bound import BoundModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.tensors import floating_tensors
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

MEMBERS, RANK = 4, 16
CANDIDATES = 20
TOKENS = torch.arange(4 * 128).reshape(4, 128)
KINDS = ("live", "merged")


def measure(quick: bool) -> Outcome:
    """Save the models, and measure both kinds."""
    with tempfile.TemporaryDirectory(prefix="mergesearch-benchmark-") as folder:
        weights, size = _save(Path(folder), quick)
        added = {kind: _in_a_fresh_process(partial(_added, kind, folder)) for kind in KINDS}
        seconds = _in_a_fresh_process(partial(_seconds, folder, 3 if quick else 9))
        factors = _in_a_fresh_process(partial(_factors, folder))
    rows = [
        {
            "adapters": kind,
            "memory beside the base, MB": added[kind] / 1e6,
            "write, ms": 1e3 * seconds[f"{kind} write"],
            "forward, ms": 1e3 * seconds[f"{kind} forward"],
            "with coefficient gradients, ms": 1e3 * seconds[f"{kind} gradient"],
        }
        for kind in KINDS
    ]
    targets = [
        Target("memory beside base and factors over the base's own, live", (added["live"] - factors) / size, 0.1),
        Target("time of a write, live over merged", seconds["live write"] / seconds["merged write"], 0.1),
        Target("time with gradients, live over merged", seconds["live gradient"] / seconds["merged gradient"], 1.0),
    ]
    note = (
        f"{weights / 1e6:.0f} million weights in fp32 ({size / 1e6:.0f} MB), {MEMBERS} adapters of rank {RANK} "
        f"({factors / 1e6:.1f} MB). Memory: what binding and {CANDIDATES} scored candidates leave in the process. A "
        f"forward pass is of {TOKENS.numel()} tokens; medians, taken in turns."
    )
    return Outcome("LoRA members: live beside the base, and merged into it", rows, targets, note)


def _save(folder: Path, quick: bool) -> tuple[int, int]:
    """A base and adapters; number and bytes of the base's weights."""
    from peft import LoraConfig, get_peft_model

    model: Any = llama(layers=2 if quick else 8, width=256 if quick else 768, vocabulary=8000, dtype=torch.float32)
    model.save_pretrained(folder / "base")
    weights = weights_of(model)
    adapted = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", init_lora_weights=False))
    for number in range(MEMBERS):
        torch.manual_seed(number)
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.normal_(std=0.02)
        adapted.save_pretrained(str(folder / f"member{number}"))
    return weights, 4 * weights


def _in_a_fresh_process(function: Callable[[], Any]) -> Any:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(function).result()


def _opened(folder: str) -> Models:
    members = {f"member{number}": str(Path(folder) / f"member{number}") for number in range(MEMBERS)}
    return Models(ModelPaths(str(Path(folder) / "base"), members, device="cpu"))


def _bound(kind: str, models: Models) -> BoundModel[Any]:
    groups = group_tensors(models.places(), "layers")
    return models.live_adapters(groups) if kind == "live" else models.live(models.build_bank(BankOptions()), groups)


def _tables(live: BoundModel[Any], count: int) -> list[CoefficientTable]:
    rng = np.random.default_rng(0)
    return [CoefficientTable.of(rng.uniform(0, 1, (len(live.groups), MEMBERS))) for _ in range(count)]


def _added(kind: str, folder: str) -> float:
    """Bytes that one kind adds to a process which has opened the base and scored it."""
    models = _opened(folder)
    for tensor in floating_tensors(models.model).values():  # in memory of its own, and not a file's
        tensor.data = tensor.detach().clone()
    _forward(models.model)
    before = _resident()
    live = _bound(kind, models)
    for table in _tables(live, CANDIDATES):
        live.write(table)
        _forward(live.model)
    return _resident() - before


def _factors(folder: str) -> float:
    return float(_bound("live", _opened(folder)).bank.bytes)


def _seconds(folder: str, rounds: int) -> dict[str, float]:
    """Median seconds of a write, a forward pass, and one with gradients, for each kind."""
    bound = {kind: _bound(kind, _opened(folder)) for kind in KINDS}
    times: dict[str, list[float]] = {
        f"{kind} {what}": [] for kind in KINDS for what in ("write", "forward", "gradient")
    }
    for table in _tables(bound["live"], rounds + 1):
        for kind, live in bound.items():
            times[f"{kind} write"].append(_time(partial(live.write, table)))
            times[f"{kind} forward"].append(_time(partial(_forward, live.model)))
            times[f"{kind} gradient"].append(_time(partial(_gradient, live)))
    return {name: statistics.median(values[1:]) for name, values in times.items()}


@torch.no_grad()
def _forward(model: Any) -> None:
    model(input_ids=TOKENS, use_cache=False)


def _gradient(live: BoundModel[Any]) -> None:
    with live.pullback():
        live.model(input_ids=TOKENS, labels=TOKENS, use_cache=False).loss.backward()


def _time(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _resident() -> float:
    """Bytes of this process's own memory, without what it maps of files and what the allocator holds unused."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return float(dict(line.split(":", 1) for line in lines)["RssAnon"].split()[0]) * 1024


if __name__ == "__main__":
    main(measure, __doc__ or "")
