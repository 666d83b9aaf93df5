"""The machine's own ceiling: how fast memory can be moved, by the best of several passes that do nothing else."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import reduce

import torch

from mergesearch.engine.devices.devices import synchronise
from mergesearch.engine.kernels.compiled import Compiled

_LARGE = 1 << 27  # fp32 numbers in each buffer of copy and triad: 512 MiB, far beyond any cache


class Ceiling:
    """A large copy, a triad, and a read of as many streams as a write has. Every buffer is filled before it is read.

    Attributes:
        passes: name -> what to time.
        bytes: name -> how many bytes that moves.
    """

    def __init__(self, streams: Sequence[torch.Tensor]) -> None:
        """Take the write's own buffers, all of as many rows, as the streams to read."""
        device = streams[0].device
        a, b, c = (torch.full((_LARGE,), float(number), device=device) for number in range(3))
        words = [stream.detach().view(torch.int32) for stream in streams]
        narrowest = min(stream.shape[1] for stream in words)
        pieces = [piece for stream in words for piece in stream.split(narrowest, dim=1)]
        read = Compiled(_largest, _largest, ([piece[:2] for piece in pieces],))
        self.passes: dict[str, Callable[[], object]] = {
            "copy": lambda: a.copy_(b),
            "triad": lambda: torch.add(b, c, alpha=3.0, out=a),
            "read": lambda: read(pieces),
        }
        self.bytes = {"copy": 2 * a.nbytes, "triad": 3 * a.nbytes, "read": sum(stream.nbytes for stream in streams)}


def _largest(streams: Sequence[torch.Tensor]) -> torch.Tensor:
    """One pass that needs every word of every stream, and writes next to nothing."""
    return reduce(torch.maximum, streams).amax()


def interleaved(
    passes: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each pass, `rounds` times in turns, after one round to warm up: noise meets all of them alike."""
    seconds: dict[str, list[float]] = {name: [] for name in passes}
    for number in range(rounds + 1):
        for name, function in passes.items():
            synchronise(device)
            started = time.perf_counter()
            function()
            synchronise(device)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def share(name: str, moved: Mapping[str, int], seconds: Mapping[str, Sequence[float]]) -> tuple[float, float]:
    """Bandwidth of one pass over that of the best other one: best round over best round, and the median round's."""
    speeds = {other: [moved[other] / each for each in seconds[other]] for other in moved}
    ceilings = [speeds[other] for other in moved if other != name]
    best = max(speeds[name]) / max(map(max, ceilings))
    each = [own / max(others) for own, *others in zip(speeds[name], *ceilings, strict=True)]
    return best, statistics.median(each)
