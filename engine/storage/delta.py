"""One member's deltas as they are kept, and how the kernel reads them: ordinary tensor operations, which fuse."""

from __future__ import annotations

from typing import NamedTuple

import torch

from ..bank.layout import BLOCK

WORD = 32  # weights whose bits one word of a mask holds
RUN = 8 * WORD  # weights that are counted from one start: as many as a byte can count before the last word
PADDING = 2  # zeros behind the kept values: the index of a weight that is not kept may point behind the last one


class SparseDelta(NamedTuple):
    """The deltas that are not zero, and a bitmask of where they belong: 0.17 bytes per weight, and the kept values.

    Attributes:
        mask: int32, `blocks x 128`; bit `lane` of word w tells whether weight 32·w + lane of the block is kept.
        starts: int32 or int64, `blocks x 16`; index of the first value kept of each 256 weights.
        ranks: uint8, `blocks x 128`; how many values those 256 weights keep before each word.
        values: the kept values in the order of the weights, and two zeros.
    """

    mask: torch.Tensor
    starts: torch.Tensor
    ranks: torch.Tensor
    values: torch.Tensor


class TunedWeights(NamedTuple):
    """The member's own weights, of which the kernel takes the base: exact deltas of 16-bit weights, in 16 bits.

    Attributes:
        weights: in the base's dtype, `blocks x BLOCK`; the base's where the member leaves it alone.
    """

    weights: torch.Tensor


# A tensor holds dense deltas, `blocks x BLOCK`, in units of their block's scale.
Delta = torch.Tensor | SparseDelta | TunedWeights


def dense(delta: Delta, base: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The deltas in units of their block's scale, as numbers of `dtype`, `blocks x BLOCK`.

    Args:
        delta: some blocks of a member's deltas.
        base: the same blocks of the base, `blocks x BLOCK`.
        dtype: the dtype to sum in.
    """
    if isinstance(delta, SparseDelta):
        return _spread(delta, dtype)
    if isinstance(delta, TunedWeights):
        return delta.weights.to(dtype) - base.to(dtype)
    return delta.to(dtype)


def part(delta: Delta, start: int, stop: int) -> Delta:
    """Blocks `start` to `stop`, as views."""
    if isinstance(delta, SparseDelta):
        mask, starts, ranks = (tensor[start:stop] for tensor in delta[:3])
        return SparseDelta(mask, starts, ranks, delta.values)
    return TunedWeights(delta.weights[start:stop]) if isinstance(delta, TunedWeights) else delta[start:stop]


def cut(delta: Delta, start: int, stop: int) -> Delta:
    """Blocks `start` to `stop` with no more than their own values: what must be moved for them. Waits for a device."""
    if not isinstance(delta, SparseDelta):
        return part(delta, start, stop)
    mask, starts, ranks, values = delta
    first = int(starts[start, 0])
    last = int(starts[stop, 0]) if stop < len(mask) else len(values) - PADDING
    return SparseDelta(mask[start:stop], starts[start:stop] - first, ranks[start:stop], values[first : last + PADDING])


def fetched(delta: Delta, start: int, stop: int, device: torch.device) -> Delta:
    """Blocks `start` to `stop` on a device: views where they lie there, and copies where not."""
    if tensors(delta)[0].device == device:
        return part(delta, start, stop)
    moved = [tensor.to(device) for tensor in tensors(cut(delta, start, stop))]
    return moved[0] if isinstance(delta, torch.Tensor) else type(delta)(*moved)


def blank(delta: Delta, blocks: int, device: torch.device) -> Delta:
    """Deltas of the same kinds that are all zero where the base is, to compile with."""
    if isinstance(delta, SparseDelta):
        mask, starts, ranks = (torch.zeros(blocks, *t.shape[1:], dtype=t.dtype, device=device) for t in delta[:3])
        return SparseDelta(mask, starts, ranks, torch.zeros(PADDING, dtype=delta.values.dtype, device=device))
    zeros = torch.zeros(blocks, BLOCK, dtype=tensors(delta)[0].dtype, device=device)
    return TunedWeights(zeros) if isinstance(delta, TunedWeights) else zeros


def tensors(delta: Delta) -> tuple[torch.Tensor, ...]:
    """All the tensors that it consists of."""
    return (delta,) if isinstance(delta, torch.Tensor) else tuple(delta)


def ones(words: torch.Tensor) -> torch.Tensor:
    """How many bits of each int32 are set (Warren, Hacker's Delight, §5-1)."""
    pairs = words - ((words >> 1) & 0x55555555)
    fours = (pairs & 0x33333333) + ((pairs >> 2) & 0x33333333)
    bytes_ = (fours + (fours >> 4)) & 0x0F0F0F0F
    halves = bytes_ + (bytes_ >> 8)
    return (halves + (halves >> 16)) & 0x3F


def _spread(delta: SparseDelta, dtype: torch.dtype) -> torch.Tensor:
    """Every weight looks itself up: the start of its run, what earlier words keep, and the bits below its own."""
    mask, starts, ranks, values = delta
    lane = torch.arange(WORD, dtype=torch.int32, device=mask.device)
    words = mask[:, :, None]
    start = starts[:, :, None].expand(-1, -1, RUN // WORD).reshape(mask.shape)
    index = (start + ranks.to(torch.int32))[:, :, None] + ones(words & ~(-1 << lane))
    kept = ((words >> lane) & 1) != 0
    return torch.where(kept, values[index].to(dtype), 0).reshape(-1, BLOCK)
