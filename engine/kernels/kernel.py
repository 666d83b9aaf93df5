"""The fused write: out = c₀·base + Σᵢ Cᵢ·tᵢ, summed in fp32 (fp64 for fp64 weights) and rounded once.

The deltas are summed first and the base is added last: the sum is small, so that its rounding errors vanish in the
single rounding of the last addition. With one coefficient 1 and the others 0 the sum is that delta, exactly. Several
candidates are written from one read of the deltas, each bit for bit as it is written alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from ..bank.layout import BLOCK
from ..bank.segment import Segment
from ..devices.devices import HOST, can_compile
from ..storage.delta import Delta, blank, dense, part
from .compiled import Compiled

Buffers = Sequence[torch.Tensor]
Kernel = Callable[[Buffers, torch.Tensor, Sequence[Delta], Buffers], None]

KERNELS = ("auto", "compiled", "eager")
_WORTH_COMPILING = 1 << 23  # elements: below, one eager write takes less time than the compiled kernel's launch saves
# Blocks that a kernel is compiled with, and called with once; accelerators' tiles are chosen by their number.
_EXAMPLE, _LARGE_EXAMPLE = 2, 512
# Blocks that the eager kernel handles at a time: scratch stays in the CPU's cache; elsewhere launches cost more.
_CHUNK, _LARGE_CHUNK = 64, 4096


def worth_compiling(elements: int) -> bool:
    """Whether `auto` compiles the kernel for so many weights."""
    return elements >= _WORTH_COMPILING


def kernel_for(segment: Segment, choice: str, copies: int = 1) -> Kernel:
    """Return the kernel that writes `copies` candidates of a segment at once; compiles it here, if at all.

    Args:
        segment: what to write.
        choice: one of `KERNELS`; `auto` compiles where it is worth it.
        copies: how many candidates each call will write.
    """
    compiled = choice == "compiled" or (choice == "auto" and worth_compiling(segment.active * BLOCK))
    if not segment.active or not compiled or not can_compile(segment.device):
        return write_eagerly
    blocks = _EXAMPLE if segment.device == HOST else _LARGE_EXAMPLE
    outs = [torch.zeros(blocks, BLOCK, dtype=segment.base.dtype, device=segment.device) for _ in range(copies)]
    deltas = [blank(delta, blocks, segment.device) for delta in segment.deltas]
    coefficients = torch.zeros(blocks, 1 + len(deltas), dtype=segment.scales.dtype, device=segment.device)
    rows = [coefficients.clone() for _ in outs]
    return Compiled(_write_fused, write_eagerly, (outs, outs[0].clone(), deltas, rows))


def chunks(blocks: int, device: torch.device) -> Iterator[tuple[int, int]]:
    """Cut `blocks` into as many as an eager kernel handles at a time: from which block on, and up to which."""
    size = _CHUNK if device == HOST else _LARGE_CHUNK
    for start in range(0, blocks, size):
        yield start, min(start + size, blocks)


def write_eagerly(outs: Buffers, base: torch.Tensor, deltas: Sequence[Delta], coefficients: Buffers) -> None:
    """Write all blocks, some at a time, with ordinary tensor operations.

    Args:
        outs: where to write each candidate, `blocks x BLOCK`.
        base: `blocks x BLOCK`, same dtype as the candidates.
        deltas: of each member, at least one, as the bank keeps them.
        coefficients: for each candidate c₀ and then C per block, `blocks x (1 + members)`, in the dtype to sum in.
    """
    for start, stop in chunks(len(base), base.device):
        blocks = slice(start, stop)
        _write_fused(
            [out[blocks] for out in outs],
            base[blocks],
            [part(delta, start, stop) for delta in deltas],
            [rows[blocks] for rows in coefficients],
        )


def _write_fused(outs: Buffers, base: torch.Tensor, deltas: Sequence[Delta], coefficients: Buffers) -> None:
    dtype = coefficients[0].dtype
    first, *others = [dense(delta, base, dtype) for delta in deltas]
    for out, rows in zip(outs, coefficients, strict=True):
        total = rows[:, 1:2] * first
        for column, delta in enumerate(others, start=2):
            total = total + rows[:, column : column + 1] * delta
        out.copy_(rows[:, :1] * base.to(dtype) + total)
