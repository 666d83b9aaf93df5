"""Builds the segments of a bank, streaming: beside the bank no more than one tensor of each member is held."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from functools import partial

import torch

from ...errors import CheckpointError
from ..checkpoints.adapter import LowRank
from ..checkpoints.finite import all_finite
from ..storage.storage import Room
from ..tiers.device import DeviceTier
from ..tiers.tier import Tier
from ..transforms.transform import Transform
from .adding import Adder
from .change import Change
from .digests import BASE, Digests
from .drafting import Draft
from .layout import Slot, lay_out
from .member import BankOptions, Member
from .pieces import pieces
from .segment import Segment
from .threads import side_by_side


class SegmentBuilder:
    """Builds one segment after another; collects the digest of all that it reads.

    Args:
        members: whose deltas.
        options: how they are kept, and what is done to them first.
        tier: where base and deltas are to lie; with the live weights unless given.

    Attributes:
        digests: of everything read so far.
    """

    def __init__(self, members: Sequence[Member], options: BankOptions, tier: Tier | None = None) -> None:
        self.digests = Digests([member.name for member in members])
        self._members = members
        self._options = options
        self._tier = tier or DeviceTier()
        self._adder = Adder(members, options.kept, self.digests)
        self._lost = [0.0] * len(members)
        self._total = [0.0] * len(members)

    @property
    def content(self) -> str:
        """Digest of everything read so far (hexadecimal)."""
        return self.digests.content(self._options.transform)

    @property
    def errors(self) -> dict[str, float]:
        """Member -> ‖d − d̂‖ / ‖d‖ over all its dense deltas, d̂ being what is read back; 0 where nothing is lost."""
        sums = zip(self._members, self._lost, self._total, strict=True)
        return {member.name: math.sqrt(lost / total) if total else 0.0 for member, lost, total in sums}

    def build(self, tensors: Mapping[str, torch.Tensor], names: Sequence[str]) -> Segment:
        """Build the segment of the base tensors `names`, which are of one dtype and on one device.

        Raises:
            CheckpointError: a tensor is not finite, or its delta is not; names member and tensor.
            InputError: the tier has no room.
        """
        first = tensors[names[0]]
        factors = self._factors(names, first.device)
        dense = {name for name in names if self._dense_changes(name, tensors[name], factors)}
        slots = lay_out({name: tensors[name].shape for name in names}, leading=dense)
        active = sum(slot.blocks for slot in slots if slot.name in dense)
        kept = {} if self._options.transform else factors
        draft = Draft(slots, Room(active, first.dtype, first.device, self._tier), kept)
        draft.tuned = {
            n for n, one in enumerate(self._members) if self._options.keeps_weights(one, set(names), first.dtype)
        }
        with side_by_side(len(self._members) + 1) as pool:
            for slot in slots:
                base = tensors[slot.name]
                _check_base(slot.name, base)
                # The members may wait for the base's copy, which is always begun before them.
                draft.copied = pool.submit(self._add_base, draft, slot, base, slot.name in dense)
                if slot.name in dense and self._options.transform:
                    self._add_transformed(pool, draft, slot, base, self._options.transform)
                elif slot.name in dense:
                    list(pool.map(partial(self._adder.add, draft, slot, base), range(len(self._members))))
                draft.copied.result()
        for number, column in draft.columns.items():
            self._lost[number] += column.lost
            self._total[number] += column.total
        return draft.finish()

    def _factors(self, names: Sequence[str], device: torch.device) -> dict[str, dict[int, LowRank]]:
        """Factored deltas on the base's device, by tensor and member."""
        found: dict[str, dict[int, LowRank]] = {}
        for name in names:
            for number, member in enumerate(self._members):
                factors = member.source.low_rank(name)
                if factors is not None:
                    self.digests.note(number, f"{name} x {factors.scale}", factors.up, factors.down)
                    up, down = factors.up.to(device), factors.down.to(device)
                    found.setdefault(name, {})[number] = LowRank(up, down, factors.scale)
        return found

    def _dense_changes(self, name: str, base: torch.Tensor, factors: Mapping[str, object]) -> bool:
        """Whether any member holds a whole tensor that differs; looks no further than the first difference."""
        if self._options.transform and name in factors:
            return True
        changes = (Change(member, name, base.reshape(-1)) for member in self._members if member.source.holds(name))
        return any(change.differs(elements) for change in changes for _, elements in pieces(Slot(name, base.shape, 0)))

    def _add_base(self, draft: Draft, slot: Slot, base: torch.Tensor, changed: bool) -> None:
        slot.view(draft.base).copy_(base)
        self.digests.note(BASE, slot.name, base)
        if changed:
            flat = base.reshape(-1)
            for first, elements in pieces(slot):
                draft.note_negative_zeros(BASE, first, flat[elements])
        self._tier.release(draft.base[slot.first : slot.first + slot.blocks])

    def _add_transformed(
        self, pool: Executor, draft: Draft, slot: Slot, base: torch.Tensor, transform: Transform
    ) -> None:
        """Add all members' deltas of one tensor, which only together give what is kept of them."""
        numbers = range(len(self._members))
        deltas = list(pool.map(partial(self._adder.whole, slot, base), numbers))
        list(pool.map(partial(self._adder.add_whole, draft, slot), numbers, transform.apply(slot.name, deltas)))


def _check_base(name: str, base: torch.Tensor) -> None:
    if not all_finite(base):
        raise CheckpointError(
            f"the base's tensor '{name}' holds NaN or infinite values as {base.dtype}; train or download it again"
        )
