"""Double buffering: while the kernel works on one chunk, a thread fetches the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from ..storage.delta import tensors
from .tier import Deltas, Span

T = TypeVar("T")

CHUNK_BYTES = 1 << 26  # of all buffers together; smaller ones cost calls, larger ones are slower from a disk


def spans(buffers: Deltas, blocks: int, chunk_bytes: int | None = None) -> list[Span]:
    """Cut `blocks` into spans of which all buffers together take about `CHUNK_BYTES`."""
    of_block = sum(leaf.nbytes / max(len(tensors(buffer)[0]), 1) for buffer in buffers for leaf in tensors(buffer))
    size = max(1, int((chunk_bytes or CHUNK_BYTES) / max(of_block, 1)))
    return [(start, min(start + size, blocks)) for start in range(0, blocks, size)]


def double_buffered(wanted: Sequence[Span], fetch: Callable[[int, Span], T]) -> Iterator[T]:
    """Yield `fetch(number, span)` for every span in turn; the next one is under way while the caller works on one."""
    if not wanted:
        return
    with ThreadPoolExecutor(1, "fetch") as thread:
        ahead = _start(thread, fetch, 0, wanted)
        for number in range(len(wanted)):
            fetched = ahead.result()
            if number + 1 < len(wanted):
                ahead = _start(thread, fetch, number + 1, wanted)
            yield fetched


def _start(
    thread: ThreadPoolExecutor, fetch: Callable[[int, Span], T], number: int, wanted: Sequence[Span]
) -> Future[T]:
    """Start to fetch, and wait until it is under way: a compiled kernel may hold the interpreter for itself."""
    begun = Event()

    def work() -> T:
        begun.set()
        return fetch(number, wanted[number])

    future = thread.submit(work)
    begun.wait()
    return future
