"""Coefficient gradients: bandwidth beside the machine's ceiling, accuracy and memory beside autograd's.

The bytes of the gradient and of all deltas, over the time of all products, against the best of a large copy, a triad,
and a read of as many streams, in turns with it in the same process. The reference of accuracy is autograd in double
precision through the whole merge. Runs on the accelerator, where there is one; memory is the host's.
"""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from _ceiling import Ceiling, interleaved, share
from _harness import Outcome, Target, main
from _llama import bound, llama, weights_of
from torch import nn
from torch.func import functional_call

from mergesearch.engine.devices.devices import HOST, resolve_device
from mergesearch.engine.kernels.products import products_for
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.live.segment_gradient import SegmentGradient
from mergesearch.engine.storage.delta import dense
from mergesearch.spaces.table import CoefficientTable

KINDS = {"fp32": (torch.float32, "exact"), "bf16": (torch.bfloat16, "fp16")}  # dtype of the weights, storage of deltas
MEMBERS = (2, 4, 8)
LIMITS = {torch.float64: 1e-12, torch.float32: 1e-5}
Row = dict[str, str | int | float]


def measure(quick: bool) -> Outcome:
    """Bandwidth of every kind and number of members, then accuracy, then memory."""
    device = resolve_device("auto")
    rows = [_bandwidth(*case, device, quick) for case in product(KINDS, MEMBERS)]
    lowest = min(float(row["share of the ceiling"]) for row in rows)
    targets = [Target("lowest share of the ceiling", lowest, 0.7, at_most=False), *_accuracy(device)]
    note = (
        f"{rows[0]['weights, M']:.0f} million weights of a Llama on {device.type}; fp32 deltas of fp32 weights, "
        "fp16 deltas of bf16 weights. GB/s and shares are of the best round; the last column is the median over rounds "
        "of the share in one. 'dot' is the product of one gradient with one delta at a time, by torch.dot."
    )
    if device == HOST:
        target, told = _memory(quick)
        targets, note = [*targets, target], f"{note} {told}"
    return Outcome("Coefficient gradients", rows, targets, note)


def _bandwidth(kind: str, members: int, device: torch.device, quick: bool) -> Row:
    """Measure one case, and leave nothing of it in memory."""
    dtype, storage = KINDS[kind]
    live = bound(_model(dtype, quick).to(device), members, storage, kernel="compiled")
    row: Row = {"weights": kind, "K": members, "weights, M": weights_of(live.model) / 1e6}
    row |= _figures(live, rounds=3 if quick else 9)
    del live
    gc.collect()
    return row


def _model(dtype: torch.dtype, quick: bool) -> nn.Module:
    # The width of Llama 3.2 1B: each tensor is one launch, and smaller ones show what launches cost.
    return llama(layers=1, width=1024 if quick else 2048, vocabulary=2000 if quick else 16000, dtype=dtype)


def _figures(live: LiveModel, rounds: int) -> Row:
    (segment,) = live.bank.segments
    gradient = torch.randn(segment.base.shape, dtype=segment.base.dtype, device=segment.device)
    products = products_for(segment, "compiled")
    gradients = [(slot, slot.view(gradient)) for slot in reversed(segment.slots)]  # as a backward pass gives them

    def pullback() -> None:
        taken = SegmentGradient(segment, products)
        for slot, one in gradients:
            taken.take(slot, one)
        taken.add_to(np.zeros((len(live.groups), len(segment.columns))), live.groups)

    streams = [gradient, *(delta for delta in segment.deltas if isinstance(delta, torch.Tensor))]
    ceiling = Ceiling(streams)
    moved = {"pullback": sum(stream.nbytes for stream in streams), **ceiling.bytes}
    seconds = interleaved({"pullback": pullback, **ceiling.passes}, rounds, segment.device)
    seconds |= interleaved({"dot": partial(_dots, streams)}, max(1, rounds // 5), segment.device)
    best = {name: min(each) for name, each in seconds.items()}
    highest = max(ceiling.bytes, key=lambda name: moved[name] / best[name])
    of_best, of_median = share("pullback", moved, seconds)
    return {
        "ms": 1e3 * best["pullback"],
        "GB/s": moved["pullback"] / best["pullback"] / 1e9,
        "ceiling, GB/s": moved[highest] / best[highest] / 1e9,
        "set by": highest,
        "dot, ms": 1e3 * best["dot"],
        "share of the ceiling": of_best,
        "median share": of_median,
    }


def _dots(streams: list[torch.Tensor]) -> list[torch.Tensor]:
    gradient, *deltas = (stream.view(-1) for stream in streams)
    return [torch.dot(gradient.float(), delta.float()) for delta in deltas]


def _accuracy(device: torch.device) -> list[Target]:
    """The largest relative error of a gradient (as a vector), tied and untied Llama."""
    errors = {dtype: max(_error(tied, dtype, device) for tied in (True, False)) for dtype in LIMITS}
    return [
        Target(f"relative error, {str(dtype).removeprefix('torch.')}", error, LIMITS[dtype])
        for dtype, error in errors.items()
    ]


def _error(tied: bool, dtype: torch.dtype, device: torch.device) -> float:
    model = llama(layers=2, width=256, vocabulary=500, dtype=dtype).to(device)
    if tied:
        model.lm_head.weight = model.model.embed_tokens.weight  # type: ignore[union-attr]
    live = bound(model, 3, "exact", groups="tensors", kernel="compiled")
    tokens = torch.arange(64, device=device).view(2, 32) % 500
    rows = np.random.default_rng(0).uniform(-0.5, 1.0, (len(live.groups), 3))
    live.write(CoefficientTable.of(rows))
    with live.pullback() as gradient:
        _loss(model, tokens).backward()
    expected = _by_autograd(live, rows, tokens)
    return float(np.linalg.norm(gradient.members - expected) / np.linalg.norm(expected))


def _by_autograd(live: LiveModel, rows: np.ndarray, tokens: torch.Tensor) -> np.ndarray:
    """∂L/∂C in double precision, with the merge inside of the graph."""
    table = torch.tensor(rows, device=tokens.device, requires_grad=True)
    (segment,) = live.bank.segments
    deltas = [dense(delta, segment.base, torch.float64) for delta in segment.deltas]  # exact: their scales are 1
    merged = {}
    for slot in segment.slots:
        row = table[live.groups.of[slot.name]]
        terms = [c * slot.view(delta) for c, delta in zip(row, deltas, strict=True)]
        merged[slot.name] = slot.view(segment.base).double() + torch.stack(terms).sum(dim=0)
    twin = live.model.double()
    functional_call(twin, merged, (tokens,), {"labels": tokens, "use_cache": False}, tie_weights=True).loss.backward()
    assert table.grad is not None
    return table.grad.cpu().numpy()


def _loss(model: nn.Module, tokens: torch.Tensor) -> torch.Tensor:
    loss: torch.Tensor = model(tokens, labels=tokens, use_cache=False).loss
    return loss


def _memory(quick: bool) -> tuple[Target, str]:
    """Peak of resident memory above that of a backward pass whose gradients are dropped as they come."""
    live = bound(_model(torch.float32, quick), 2, "exact")
    tokens = torch.arange(64).view(1, 64)
    passes: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "pullback": live.pullback,
        "dropped": partial(_gradients, live.model, dropped=True),
        "kept": partial(_gradients, live.model, dropped=False),
    }
    found: dict[str, list[float]] = {name: [] for name in passes}
    for _ in range(2 if quick else 4):
        for name, context in passes.items():
            found[name].append(_peak(context, live.model, tokens))
    peaks = {name: min(each[1:]) for name, each in found.items()}  # the first one is for the allocator
    largest = max(tensor.nbytes for tensor in live.tensors().values()) / 1e6
    told = (
        f"Memory: {weights_of(live.model) / 1e6:.0f} million fp32 weights, 2 members, 64 tokens. Above what was "
        f"resident before, forward and backward pass peak at {peaks['kept']:.0f} MB where they leave all gradients "
        f"behind, as a plain backward pass does, at {peaks['dropped']:.0f} MB where each gradient is dropped as it "
        f"comes, and at {peaks['pullback']:.0f} MB inside of `pullback`; the largest tensor has {largest:.0f} MB."
    )
    above = peaks["pullback"] - peaks["dropped"]
    return Target("peak memory above a backward pass that drops its gradients, MB", above, largest), told


def _peak(context: Callable[[], AbstractContextManager[object]], model: nn.Module, tokens: torch.Tensor) -> float:
    """MB that a forward and a backward pass take at their peak."""
    gc.collect()
    if hasattr(ctypes.CDLL(None), "malloc_trim"):
        ctypes.CDLL(None).malloc_trim(0)  # what was freed goes back to the system: the pass must ask for it anew
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is counted from here on
    before = _status("VmRSS")
    with context():
        _loss(model, tokens).backward()
    return _status("VmHWM") - before


def _status(key: str) -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) / 1e3


@contextmanager
def _gradients(model: nn.Module, dropped: bool) -> Iterator[None]:
    """Let gradients flow to all parameters."""
    with ExitStack() as stack:
        for parameter in model.parameters():
            parameter.requires_grad_(True)
            if dropped:
                stack.callback(parameter.register_post_accumulate_grad_hook(_drop).remove)
        yield
    for parameter in model.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None


def _drop(tensor: torch.Tensor) -> None:
    tensor.grad = None


if __name__ == "__main__":
    main(measure, __doc__ or "")
