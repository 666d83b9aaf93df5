"""A cache with room, which is written in place and in parts; transformers' own is copied whole for each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from transformers.cache_utils import Cache, DynamicLayer

_SPARE = 32  # tokens more, or a quarter, whatever is more, whenever there is no more room


class RoomyCache(Cache):  # type: ignore[misc, unused-ignore]  # the library is not typed
    """Keys and values of a batch, of which a forward pass may read and write some rows alone."""

    def __init__(self, layers: int, rows: int, room: int) -> None:
        """Of so many layers, for so many rows, with room for so many tokens before any is copied."""
        super().__init__(layers=[RoomyLayer(rows, room) for _ in range(layers)])

    def turn_to(self, rows: slice, length: int) -> None:
        """What comes next is for these rows alone, and goes on behind their first `length` tokens."""
        for layer in self._roomy:
            layer.turn_to(rows, length)

    def keep(self, rows: torch.Tensor) -> None:
        """Drop all but these rows (int64)."""
        for layer in self._roomy:
            layer.batch_select_indices(rows)

    def take_over(self, other: RoomyCache, parents: torch.Tensor, rows: slice, length: int) -> None:
        """Let rows begin with the first `length` tokens of another cache's rows (`parents`, int64)."""
        for layer, source in zip(self._roomy, other._roomy, strict=True):
            layer.take_over(source, parents, rows, length)

    @property
    def _roomy(self) -> list[RoomyLayer]:
        return cast("list[RoomyLayer]", self.layers)


class RoomyLayer(DynamicLayer):  # type: ignore[misc, unused-ignore]  # the library is not typed
    """Keys and values of one layer, each `rows x heads x tokens x size`; zero where nothing was written."""

    is_croppable = False

    def __init__(self, rows: int, room: int) -> None:
        """For so many rows, with room for so many tokens."""
        super().__init__()  # type: ignore[no-untyped-call, unused-ignore]
        self._all, self._room, self._rows, self._length = rows, room, slice(None), 0
        self._held: list[torch.Tensor] = []

    def turn_to(self, rows: slice, length: int) -> None:
        """What comes next is for these rows alone, behind their first `length` tokens."""
        self._rows, self._length = rows, length

    def take_over(self, other: RoomyLayer, parents: torch.Tensor, rows: slice, length: int) -> None:
        """Let rows begin with the first `length` tokens of another layer's rows."""
        self._make_room(other._held, length)
        for held, source in zip(self._held, other._held, strict=True):
            held[rows, :, :length] = source[:, :, :length].index_select(0, parents.to(source.device))

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *arguments: Any, **options: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write keys and values behind those that are there; returns all of the rows."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, self._length = self._length, self._length + key_states.shape[-2]
        self._make_room([key_states, value_states], self._length)
        for held, states in zip(self._held, (key_states, value_states), strict=True):
            held[self._rows, :, start : self._length] = states
        self.keys, self.values = self._views()
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Tokens that the rows have."""
        return self._length

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Drop all but these rows (int64)."""
        self._held = [held.index_select(0, indices.to(held.device)) for held in self._held]
        self._all, self._rows = len(indices), slice(None)
        self.keys, self.values = self._views()

    def _views(self) -> tuple[torch.Tensor, torch.Tensor]:
        keys, values = (held[self._rows, :, : self._length] for held in self._held)
        return keys, values

    def _make_room(self, like: Sequence[torch.Tensor], length: int) -> None:
        if self._held and length <= self._room:
            return
        before = self._held
        if length > self._room:
            self._room = length + max(_SPARE, length // 4)
        self._held = [one.new_zeros((self._all, one.shape[1], self._room, one.shape[-1])) for one in like]
        for held, old in zip(self._held, before, strict=False):
            held[:, :, : old.shape[-2]] = old
