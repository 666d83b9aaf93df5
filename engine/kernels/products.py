"""The products of a gradient with the deltas: per block ⟨∂L/∂θ, tᵢ⟩ of all members, from one read of either.

The mirror of the write: the same blocks, the same dtype to sum in. A block's products are summed in it; the blocks
are added up elsewhere, in double precision.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from ..bank.layout import BLOCK
from ..bank.segment import Segment
from ..checkpoints.adapter import LowRank
from ..devices.devices import can_compile
from ..storage.delta import Delta, blank, dense, part
from .compiled import Compiled
from .kernel import chunks, worth_compiling

Sums = Sequence[torch.Tensor]
Products = Callable[[Sums, torch.Tensor, torch.Tensor, Sequence[Delta]], None]

_EXAMPLE = 256  # blocks that the code is compiled with: were they fewer than threads, these would share a block
_ROWS = 1 << 20  # elements of a gradient that meet factors at a time


def products_for(segment: Segment, choice: str) -> Products:
    """Return what takes the products for gradients of a segment's own dtype; compiles it here, if at all.

    Args:
        segment: whose deltas.
        choice: one of `kernel.KERNELS`; `auto` compiles where it is worth it.
    """
    compiled = choice == "compiled" or (choice == "auto" and worth_compiling(segment.active * BLOCK))
    if not segment.active or not compiled or not can_compile(segment.device):
        return add_products
    gradient = torch.zeros(_EXAMPLE, BLOCK, dtype=segment.base.dtype, device=segment.device)
    deltas = [blank(delta, _EXAMPLE, segment.device) for delta in segment.deltas]
    sums = [torch.zeros(_EXAMPLE, dtype=segment.scales.dtype, device=segment.device) for _ in deltas]
    return Compiled(_add_fused, add_products, (sums, gradient, gradient.clone(), deltas))


def add_products(sums: Sums, gradient: torch.Tensor, base: torch.Tensor, deltas: Sequence[Delta]) -> None:
    """Add the products block by block, with ordinary tensor operations.

    Args:
        sums: one per delta, `blocks`, in the dtype to sum in.
        gradient: of any dtype, `blocks x BLOCK`.
        base: the same blocks of the base, which some kinds of deltas refer to; `blocks x BLOCK`.
        deltas: as the bank keeps them; their scales are left to the caller.
    """
    for start, stop in chunks(len(gradient), gradient.device):
        blocks = slice(start, stop)
        of_members = [part(delta, start, stop) for delta in deltas]
        _add_fused([total[blocks] for total in sums], gradient[blocks], base[blocks], of_members)


def factored_products(gradient: torch.Tensor, factors: Sequence[LowRank], dtype: torch.dtype) -> torch.Tensor:
    """Products with factored deltas, but for their scales, rank by rank; no dense delta is formed.

    ⟨G, B·A⟩ = Σ over ranks r of ⟨(G·Aᵀ)ᵣ, Bᵣ⟩.

    Args:
        gradient: `rows x columns`, of any dtype and strides.
        factors: of all members.
        dtype: the dtype to sum in.

    Returns:
        One number per rank, those of the first member first, in `dtype`.
    """
    up = torch.cat([one.up.to(gradient.device, dtype) for one in factors], dim=1)
    down = torch.cat([one.down.to(gradient.device, dtype) for one in factors], dim=0)
    total = torch.zeros(len(down), dtype=dtype, device=gradient.device)
    step = max(1, _ROWS // gradient.shape[1])
    for start in range(0, len(gradient), step):
        rows = slice(start, start + step)
        total += (gradient[rows].to(dtype) @ down.T).mul_(up[rows]).sum(dim=0)
    return total


def _add_fused(sums: Sums, gradient: torch.Tensor, base: torch.Tensor, deltas: Sequence[Delta]) -> None:
    dtype = sums[0].dtype
    precise = gradient.to(dtype)
    for total, delta in zip(sums, deltas, strict=True):
        total += (precise * dense(delta, base, dtype)).sum(dim=1)
