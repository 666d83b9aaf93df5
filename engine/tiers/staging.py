"""Copies chunks from host memory to an accelerator, beside the kernel: a side stream and two sets of buffers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ..storage.delta import Delta, cut, tensors
from .streaming import double_buffered, spans
from .tier import Deltas, Part, Span


def copied(base: torch.Tensor, deltas: Deltas, device: torch.device, blocks: int) -> Iterator[Part]:
    """Yield the first `blocks` of what lies on the host, on `device`; what is no pinned memory goes through some."""
    wanted = spans([base, *deltas], blocks)
    lanes = [_Lane(base, deltas, device, wanted) for _ in wanted[:2]]
    queue = _Queue(device)

    def fetch(number: int, span: Span) -> _Lane:
        lane = lanes[number % 2]
        queue.fill(lane, span)
        return lane

    try:
        for lane in double_buffered(wanted, fetch):
            queue.wait_for(lane)
            yield lane.part
            queue.note_use(lane)
    finally:
        queue.finish()


class _Lane:
    """Room for one chunk on the device, and pinned room on the host for what cannot be copied from where it lies.

    Attributes:
        part: what it holds.
        filled: when that is there.
        used: when the kernels that read it are done.
    """

    part: Part

    def __init__(self, base: torch.Tensor, deltas: Deltas, device: torch.device, wanted: Sequence[Span]) -> None:
        self._base, self._deltas = base, deltas
        (self._base_room,), *self._rooms = (_rooms(buffer, device, wanted) for buffer in (base, *deltas))
        self.filled: torch.Event | None = None
        self.used: torch.Event | None = None

    def copy(self, span: Span) -> None:
        """Start to copy the blocks of `span`."""
        moved = [_moved(cut(delta, *span), rooms) for delta, rooms in zip(self._deltas, self._rooms, strict=True)]
        self.part = Part(*span, self._base_room.take(self._base[slice(*span)]), tuple(moved))


@dataclass(frozen=True)
class _Room:
    """Where one tensor of a chunk goes: flat, on the device and, if it takes this way, in pinned memory."""

    target: torch.Tensor
    pinned: torch.Tensor | None

    def take(self, source: torch.Tensor) -> torch.Tensor:
        """Start to copy a tensor; returns what will hold it."""
        size = source.numel()
        if self.pinned is not None:
            source = self.pinned[:size].view(source.shape).copy_(source)
        return self.target[:size].view(source.shape).copy_(source, non_blocking=True)


def _rooms(buffer: Delta, device: torch.device, wanted: Sequence[Span]) -> list[_Room]:
    """Room for each of a buffer's tensors, as large as its largest chunk."""
    chunks = [tensors(cut(buffer, *span)) for span in wanted]
    return [
        _Room(
            torch.empty(max(map(torch.Tensor.numel, sizes)), dtype=sizes[0].dtype, device=device),
            None
            if sizes[0].is_pinned()
            else torch.empty(max(map(torch.Tensor.numel, sizes)), dtype=sizes[0].dtype, pin_memory=True),
        )
        for sizes in zip(*chunks, strict=True)
    ]


def _moved(chunk: Delta, rooms: Sequence[_Room]) -> Delta:
    """The chunk where it has room."""
    moved = [room.take(leaf) for room, leaf in zip(rooms, tensors(chunk), strict=True)]
    return moved[0] if isinstance(chunk, torch.Tensor) else type(chunk)(*moved)


class _Queue:
    """Orders copies and kernels by a stream beside the current one; a device that has but one orders them itself."""

    def __init__(self, device: torch.device) -> None:
        try:
            self._side: torch.Stream | None = torch.Stream(device=device)
        except RuntimeError:
            self._side = None
            return
        self._current = torch.accelerator.current_stream(device)
        self._side.wait_stream(self._current)  # what the lanes' memory was used for before is done

    def fill(self, lane: _Lane, span: Span) -> None:
        """Start to copy blocks into a lane, when what it held has been used."""
        if self._side is None:
            lane.copy(span)
            return
        if lane.filled is not None and lane.used is not None:
            lane.filled.synchronize()  # its pinned buffers are free again
            self._side.wait_event(lane.used)
        with self._side:
            lane.copy(span)
            lane.filled = self._side.record_event()

    def wait_for(self, lane: _Lane) -> None:
        """Let the kernels that come next wait for what is copied."""
        if lane.filled is not None:
            self._current.wait_event(lane.filled)

    def note_use(self, lane: _Lane) -> None:
        """Remember that the kernels so far use what the lane holds."""
        if self._side is not None:
            lane.used = self._current.record_event()

    def finish(self) -> None:
        """Let later kernels, which may be given the lanes' memory, wait for all copies."""
        if self._side is not None:
            self._current.wait_stream(self._side)
