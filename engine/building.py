"""Builds the segments of a bank, streaming: no more than one tensor of one member is held beside the bank."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from ..errors import CheckpointError
from .adapter import LowRank
from .finite import all_finite
from .layout import BLOCK, Slot, buffer_of, lay_out
from .member import BankOptions, Member
from .segment import Patch, Segment

_BASE = -1  # the base's number among the owners of tensors
_FP16_TOP = 2.0**15  # largest magnitude that scaled fp16 deltas are brought to, half of what fp16 holds


@dataclass
class _Draft:
    """A segment under construction."""

    slots: list[Slot]
    base: torch.Tensor
    active: int
    deltas: dict[int, torch.Tensor] = field(default_factory=dict)
    scales: dict[int, torch.Tensor] = field(default_factory=dict)
    misses: dict[int, tuple[bytearray, bytearray]] = field(default_factory=dict)


class SegmentBuilder:
    """Builds one segment after another; collects the digest of all that it reads."""

    def __init__(self, members: Sequence[Member], options: BankOptions) -> None:
        self.options = options
        self._members = members
        self._digests = {owner: hashlib.sha256() for owner in (_BASE, *range(len(members)))}

    @property
    def content(self) -> str:
        """Digest of everything read so far (hexadecimal)."""
        members = [(member.name, self.digest(number)) for number, member in enumerate(self._members)]
        return hashlib.sha256(repr((self.options.transform, self.digest(_BASE), members)).encode()).hexdigest()

    def digest(self, owner: int) -> str:
        """Digest of everything read of one member so far (hexadecimal)."""
        return self._digests[owner].hexdigest()

    def build(self, tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> Segment:
        """Build the segment of the base tensors `names`, which are of one dtype and on one device."""
        first = tensors[names[0]]
        factors = self._factors(names, first.device)
        dense = {name for name in names if self._dense_changes(name, tensors[name], factors)}
        slots = lay_out({name: tensors[name].shape for name in names}, leading=dense)
        draft = _Draft(slots, buffer_of(slots, first.dtype, first.device), 0)
        draft.active = sum(slot.blocks for slot in slots if slot.name in dense)
        for slot in slots:
            base = tensors[slot.name]
            self._check_base(slot.name, base)
            slot.view(draft.base).copy_(base)
            if slot.name in dense:
                self._add_deltas(draft, slot, base, factors.get(slot.name, {}))
        kept = {} if self.options.transform else factors
        return self._finish(draft, kept)

    def _factors(self, names: Sequence[str], device: torch.device) -> dict[str, dict[int, LowRank]]:
        """Factored deltas on the base's device, by tensor and member."""
        found: dict[str, dict[int, LowRank]] = {}
        for name in names:
            for number, member in enumerate(self._members):
                factors = member.source.low_rank(name)
                if factors is not None:
                    self._note(number, f"{name} x {factors.scale}", factors.up, factors.down)
                    up, down = factors.up.to(device), factors.down.to(device)
                    found.setdefault(name, {})[number] = LowRank(up, down, factors.scale)
        return found

    def _dense_changes(self, name: str, base: torch.Tensor, factors: Mapping[str, object]) -> bool:
        """Whether any member holds a whole tensor that differs; stops at the first one that does."""
        if self.options.transform and name in factors:
            return True
        return any(
            _differ(member.source.read(name).to(base.device), self._anchor(member, name, base))
            for member in self._members
            if member.source.holds(name)
        )

    def _anchor(self, member: Member, name: str, base: torch.Tensor) -> torch.Tensor:
        return member.anchor.read(name).to(base.device) if member.anchor else base

    def _check_base(self, name: str, base: torch.Tensor) -> None:
        if not all_finite(base):
            raise CheckpointError(
                f"the base's tensor '{name}' holds NaN or infinite values as {base.dtype}; train or download it again"
            )
        self._note(_BASE, name, base)

    def _add_deltas(self, draft: _Draft, slot: Slot, base: torch.Tensor, factors: Mapping[int, LowRank]) -> None:
        if self.options.transform:
            numbers = range(len(self._members))
            everyone = [self._delta(*self._whole(number, slot.name, base), base.dtype) for number in numbers]
            for number, low_rank in factors.items():
                everyone[number] += low_rank.dense()
            for number, delta in enumerate(self.options.transform.apply(slot.name, everyone)):
                if delta.any():
                    self._store(draft, slot, number, delta)
            return
        for number, member in enumerate(self._members):
            value, anchor = self._whole(number, slot.name, base)
            delta = self._delta(value, anchor, base.dtype)
            if _differ(value, anchor):
                self._store(draft, slot, number, delta)
            if self.options.storage == "exact" and member.anchor is None:
                self._note_misses(draft, slot, number, (base, delta, value.to(base.dtype)))

    def _whole(self, number: int, name: str, base: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The member's whole tensor and its anchor's; the base twice where the member leaves the tensor alone."""
        member = self._members[number]
        if not member.source.holds(name):
            return base, base
        value, anchor = member.source.read(name).to(base.device), self._anchor(member, name, base)
        self._note(number, name, value, *([anchor] if member.anchor else []))
        if value.dtype != base.dtype and not all_finite(value.to(base.dtype)):
            raise CheckpointError(
                f"member '{member.name}': tensor '{name}' exceeds the range of {base.dtype}; set a wider models.dtype"
            )
        return value, anchor

    def _delta(self, value: torch.Tensor, anchor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """The delta of live weights of `dtype`, in the dtype to sum in."""
        return value.to(_sum_dtype(dtype)) - anchor.to(_sum_dtype(dtype))

    def _store(self, draft: _Draft, slot: Slot, number: int, delta: torch.Tensor) -> None:
        if not all_finite(delta):
            owner = self._members[number].name
            raise CheckpointError(
                f"member '{owner}': the delta of '{slot.name}' exceeds the range of {delta.dtype}; train it again"
            )
        if number not in draft.deltas:
            dtype = torch.float16 if self.options.storage == "fp16" else delta.dtype
            draft.deltas[number] = torch.zeros(draft.active, BLOCK, dtype=dtype, device=draft.base.device)
            draft.scales[number] = torch.ones(draft.active, dtype=delta.dtype, device=draft.base.device)
        scale = _fp16_scale(delta) if self.options.storage == "fp16" else 1.0
        slot.view(draft.deltas[number]).copy_(delta / scale)
        draft.scales[number][slot.first : slot.first + slot.blocks] = scale

    def _note_misses(self, draft: _Draft, slot: Slot, number: int, vertex: tuple[torch.Tensor, ...]) -> None:
        """Note where base + delta, as the kernel computes it, is not the member's weight bit for bit."""
        base, delta, wanted = vertex
        written = (base.to(delta.dtype) + delta).to(base.dtype)
        missed = (_bits(written) != _bits(wanted)).reshape(-1).nonzero().reshape(-1)
        # Growing bytes: thousands of small tensors, kept between large ones that come and go, would leave the memory
        # full of holes.
        index, values = draft.misses.setdefault(number, (bytearray(), bytearray()))
        index += _bytes((missed + slot.first * BLOCK).to(_index_dtype(draft.base)))
        values += _bytes(wanted.reshape(-1)[missed])

    def _finish(self, draft: _Draft, factors: Mapping[str, Mapping[int, LowRank]]) -> Segment:
        columns = tuple(sorted(draft.deltas))
        patches = {
            number: Patch(
                torch.frombuffer(index, dtype=_index_dtype(draft.base)).to(draft.base.device),
                torch.frombuffer(values, dtype=draft.base.dtype).to(draft.base.device),
            )
            for number, (index, values) in draft.misses.items()
            if index
        }
        # The kernel adds a zero of either sign to the base, which turns its negative zeros into positive ones.
        flat = draft.base[: draft.active].view(-1)
        negative_zeros = ((flat == 0) & torch.signbit(flat)).nonzero().reshape(-1)
        if len(negative_zeros):
            patches[-1] = Patch(negative_zeros, flat[negative_zeros])
        empty = torch.ones(draft.active, 0, dtype=_sum_dtype(draft.base.dtype), device=draft.base.device)
        return Segment(
            slots=tuple(draft.slots),
            base=draft.base,
            active=draft.active if columns else 0,
            columns=columns,
            deltas=tuple(draft.deltas[number] for number in columns),
            scales=torch.stack([draft.scales[number] for number in columns], dim=1) if columns else empty,
            factors=factors,
            patches=patches,
        )

    def _note(self, owner: int, name: str, *tensors: torch.Tensor) -> None:
        for tensor in tensors:
            self._digests[owner].update(f"{name}\0{tensor.dtype}\0{tuple(tensor.shape)}".encode())
            self._digests[owner].update(_bytes(tensor))


def _index_dtype(buffer: torch.Tensor) -> torch.dtype:
    return torch.int32 if buffer.numel() < 2**31 else torch.int64


def _bytes(tensor: torch.Tensor) -> memoryview:
    data: memoryview = tensor.contiguous().cpu().reshape(-1).view(torch.uint8).numpy().data
    return data


def _sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which deltas are formed and summed: fp64 for fp64 weights, fp32 for all others."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def _fp16_scale(delta: torch.Tensor) -> float:
    """The power of two that brings the largest delta near fp16's upper end, away from its subnormal numbers."""
    largest = float(delta.abs().max()) if delta.numel() else 0.0
    # Never below the sum's normal numbers: a scale that vanishes there would make the deltas infinite.
    return max(2.0 ** math.ceil(math.log2(largest / _FP16_TOP)), torch.finfo(delta.dtype).tiny) if largest > 0 else 1.0


def _differ(value: torch.Tensor, anchor: torch.Tensor) -> bool:
    """Whether a bit differs between two tensors, in the second one's dtype; -0.0 differs from 0.0."""
    return not torch.equal(_bits(value.to(anchor.dtype)), _bits(anchor))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    kinds = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.int8}
    return tensor.contiguous().view(kinds[tensor.element_size()])
