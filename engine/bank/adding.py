"""Adds what members made of a tensor to a segment under construction, piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch

from ...errors import CheckpointError
from ..checkpoints.finite import all_finite
from ..storage.storage import Storage
from .change import Change
from .digests import Digests
from .drafting import Draft
from .layout import Slot
from .member import Member
from .pieces import in_blocks, pieces


class Adder:
    """Reads members' tensors, one of each member at a time. Members may be added side by side.

    Args:
        members: whose tensors.
        storage: how their deltas are kept.
        digests: where to note what was read.
    """

    def __init__(self, members: Sequence[Member], storage: Storage, digests: Digests) -> None:
        self._members = members
        self._storage = storage
        self._digests = digests

    def add(self, draft: Draft, slot: Slot, base: torch.Tensor, number: int) -> None:
        """Keep what one member made of one tensor of the base.

        Raises:
            CheckpointError: its tensor or its delta is not finite; names member and tensor.
        """
        change = self._open(number, slot, base)
        add = self._add_weights if number in draft.tuned else self._add_deltas
        add(draft, slot, number, change)

    def whole(self, slot: Slot, base: torch.Tensor, number: int) -> torch.Tensor:
        """One member's delta of one tensor, factored parts included, in the tensor's shape."""
        change = self._open(number, slot, base)
        change.weights()
        delta = change.delta().view(slot.shape)
        factors = change.member.source.low_rank(slot.name)
        return delta if factors is None else delta + factors.dense().to(delta)

    def add_whole(self, draft: Draft, slot: Slot, number: int, delta: torch.Tensor) -> None:
        """Keep one member's transformed delta of one tensor."""
        if not delta.any():
            return
        column = draft.column(number, partial(self._storage.column, draft.room))
        for first, elements in pieces(slot):
            piece = delta.reshape(-1)[elements]
            self._check_delta(number, slot, piece)
            column.put(first, in_blocks(piece))

    def _open(self, number: int, slot: Slot, base: torch.Tensor) -> Change:
        change = Change(self._members[number], slot.name, base.reshape(-1))
        self._digests.note(number, slot.name, *change.read)
        return change

    def _add_weights(self, draft: Draft, slot: Slot, number: int, change: Change) -> None:
        for first, elements in pieces(slot):
            weights = change.weights(elements)
            if not change.surely_fits(elements):
                self._check_delta(number, slot, change.delta(elements))
            if number in draft.columns or change.differs(elements):
                draft.column(number, partial(draft.tuned_column, first)).put(first, in_blocks(weights))
            else:
                draft.note_negative_zeros(number, first, weights)

    def _add_deltas(self, draft: Draft, slot: Slot, number: int, change: Change) -> None:
        for first, elements in pieces(slot):
            delta = change.delta(elements)
            self._check_delta(number, slot, delta)
            if number in draft.columns or change.differs(elements):
                column = draft.column(number, partial(self._storage.column, draft.room))
                column.put(first, in_blocks(delta))
            if self._storage.lossless and change.member.anchor is None:
                missed = change.missed(elements, delta)
                draft.note_misses(number, first, missed, change.weights(elements)[missed])

    def _check_delta(self, number: int, slot: Slot, delta: torch.Tensor) -> None:
        if not all_finite(delta):
            owner = self._members[number].name
            raise CheckpointError(
                f"member '{owner}': the delta of '{slot.name}' exceeds the range of {delta.dtype}; train it again"
            )
