"""Texts tokenised once, in groups of one length, from which batches of few fixed shapes are cut."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .._labelled.dataset import IntArray, Table

_ROUNDING = 16  # texts are padded to multiples of it, so that few shapes are enough for all lengths
_ENDLESS = 2**31 - 1  # a tokenizer without a limit claims 10^30, which no array of lengths can hold


@dataclass(frozen=True)
class Texts:
    """Tokens of texts, or of pairs of texts.

    Attributes:
        groups: indices of the texts of one padded length, ascending, and a table of their tokens; the longest first,
            so that memory runs out at once or never.
    """

    groups: Sequence[tuple[IntArray, Table]]

    def batches(self, rows: IntArray, size: int, device: Any) -> Iterator[tuple[IntArray, Any]]:
        """Cut texts `rows` into batches on `device`: (places in `rows` that come first in it, inputs).

        A batch has at most `size` texts; its shape follows from their length and from all texts there are.
        """
        for indices, table in self.groups:
            places = np.flatnonzero(np.isin(rows, indices))
            for some, inputs in table.batches(np.searchsorted(indices, rows[places]), size, device):
                yield places[some], inputs

    @property
    def content(self) -> list[Any]:
        """All tokens, in plain values."""
        return [[rows, table.inputs] for rows, table in self.groups]


def tokenise(
    what: str, model: Any, tokenizer: Any | None, columns: Sequence[Sequence[str]], limit: int | None
) -> Texts:
    """Tokenise the texts of one column, or the pairs of two.

    Args:
        what: whose texts they are, for messages.
        model: a model of transformers, which says how much it attends to and what it is padded with; or None.
        tokenizer: its own.
        columns: one list of texts, or two of the same length.
        limit: most tokens that are kept of a text; as many as the model reads where left out.

    Raises:
        InputError: no tokenizer, or a text without tokens.
    """
    if tokenizer is None:
        raise InputError(f"{what} needs a tokenizer; put one beside the base model's weights")
    config = getattr(model, "config", None)
    reach = [limit, tokenizer.model_max_length, getattr(config, "max_position_embeddings", None), _ENDLESS]
    most = int(min(number for number in reach if number is not None))
    options = {"truncation": most < _ENDLESS, "max_length": most, "return_attention_mask": True, "verbose": False}
    encoded = tokenizer(*[list(column) for column in columns], **options)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    if not lengths.all():
        raise InputError(f"{what}: text {int(lengths.argmin()) + 1} has no tokens; remove it")
    read = set(encoded) if model is None else set(encoded) & set(inspect.signature(model.forward).parameters)
    padding = {"input_ids": _padding(config, tokenizer), "token_type_ids": tokenizer.pad_token_type_id}
    widths = np.minimum(-(-lengths // _ROUNDING) * _ROUNDING, most)
    # Texts that need no padding stand apart: transformers drops a mask that hides nothing, and takes another kernel.
    keys = 2 * widths + (lengths == widths)
    groups = []
    for key in np.unique(keys)[::-1].tolist():
        rows = np.flatnonzero(keys == key)
        inputs = {
            name: _padded([encoded[name][row] for row in rows], key // 2, padding.get(name, 0), tokenizer.padding_side)
            for name in sorted(read)
        }
        groups.append((rows, Table(inputs, rows)))
    return Texts(groups)


def _padding(config: Any, tokenizer: Any) -> int:
    """The padding token: the model's, by which it may look for the end of a text, or else the tokenizer's."""
    for owner in (config, tokenizer):
        if getattr(owner, "pad_token_id", None) is not None:
            return int(owner.pad_token_id)
    return 0  # hidden by the mask


def _padded(rows: Sequence[Sequence[int]], width: int, padding: int, side: str) -> Any:
    import torch

    filled: NDArray[np.int64] = np.full((len(rows), width), padding, dtype=np.int64)
    for row, values in enumerate(rows):
        filled[row, slice(width - len(values), None) if side == "left" else slice(len(values))] = values
    return torch.from_numpy(filled)
