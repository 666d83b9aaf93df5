"""The fused write: out = c₀·base + Σᵢ Cᵢ·tᵢ, summed in fp32 (fp64 for fp64 weights) and rounded once.

The deltas are summed first and the base is added last: the sum is small, so that its rounding errors vanish in the
single rounding of the last addition. With one coefficient 1 and the others 0 the sum is that delta, exactly.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import torch

log = logging.getLogger(__name__)

Kernel = Callable[[torch.Tensor, torch.Tensor, Sequence[torch.Tensor], torch.Tensor], None]

KERNELS = ("auto", "compiled", "eager")
_WORTH_COMPILING = 1 << 23  # elements: below, one eager write takes less time than the compiled kernel's launch saves
_CHUNK = 64  # blocks that the eager kernel handles at a time, so that its scratch stays in the cache


def kernel_for(choice: str, elements: int) -> Kernel:
    """Return the kernel to write `elements` weights with: `choice` is one of `KERNELS`."""
    compiled = choice == "compiled" or (choice == "auto" and elements >= _WORTH_COMPILING)
    return CompiledKernel() if compiled else write_eagerly


class CompiledKernel:
    """The kernel that torch.compile builds; falls back to the eager one, once and for all, without a compiler."""

    def __init__(self) -> None:
        # Code of its own, for torch.compile counts the variants of one code object and gives up at the ninth.
        own = FunctionType(_write_fused.__code__.replace(), globals(), "_write_fused")
        self._write: Kernel = torch.compile(own, dynamic=False, fullgraph=True)

    def __call__(
        self, out: torch.Tensor, base: torch.Tensor, deltas: Sequence[torch.Tensor], coefficients: torch.Tensor
    ) -> None:
        """See `write_eagerly`; the result is the same, bit for bit."""
        try:
            with warnings.catch_warnings():
                # bf16 weights with fp16 deltas are what we mean; the compiler warns of any mixture.
                warnings.filterwarnings("ignore", message="bf16 and fp16 are mixed", category=UserWarning)
                self._write(out, base, deltas, coefficients)
        except _compiler_errors() as error:
            log.warning("no compiled kernel (%s); writing with the eager one", str(error).splitlines()[0])
            self._write = write_eagerly
            self._write(out, base, deltas, coefficients)


def write_eagerly(
    out: torch.Tensor, base: torch.Tensor, deltas: Sequence[torch.Tensor], coefficients: torch.Tensor
) -> None:
    """Write all blocks, some at a time, with ordinary tensor operations.

    Args:
        out: where to write, `blocks x BLOCK`.
        base: `blocks x BLOCK`, same dtype as `out`.
        deltas: one buffer per member, `blocks x BLOCK` each, at least one.
        coefficients: c₀ and then C per block, `blocks x (1 + members)`, in the dtype to sum in.
    """
    for start in range(0, len(out), _CHUNK):
        part = slice(start, start + _CHUNK)
        _write_fused(out[part], base[part], [delta[part] for delta in deltas], coefficients[part])


def _write_fused(
    out: torch.Tensor, base: torch.Tensor, deltas: Sequence[torch.Tensor], coefficients: torch.Tensor
) -> None:
    dtype = coefficients.dtype
    total = coefficients[:, 1:2] * deltas[0].to(dtype)
    for column, delta in enumerate(deltas[1:], start=2):
        total = total + coefficients[:, column : column + 1] * delta.to(dtype)
    out.copy_(coefficients[:, :1] * base.to(dtype) + total)


def _compiler_errors() -> tuple[type[BaseException], ...]:
    import torch._dynamo.exc as dynamo
    import torch._inductor.exc as inductor

    # The first is the base of all that the backend raises: no Triton, a device too old for it, a failed compilation.
    kinds: list[Any] = [dynamo.ShortenTraceback, inductor.InvalidCxxCompiler, inductor.CppCompileError]
    return tuple(kinds)
