"""Greedy answers to a batch of prompts, by the model's own `generate`; rows that are done are dropped in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import StoppingCriteria

from .._scoring import device_of
from .abilities import Abilities
from .prompts import Reading, plan_reading, read
from .roomy import RoomyCache
from .stages import BoolArray, IntArray, whole
from .stops import StopTexts

_ROOM = 64  # tokens of an answer, for which there is room in the cache before it has to be copied
_FEW = 8  # rows that are not worth being thinned out


@dataclass(frozen=True)
class Endings:
    """What ends answers.

    Attributes:
        tokens: those that end a text.
        texts: and the texts that do.
        length: most tokens of an answer.
    """

    tokens: list[int]
    texts: list[str]
    length: int


@dataclass(frozen=True)
class Batch:
    """Prompts that are answered together, and how all but their last tokens are read before.

    Without a reading, `generate` reads them itself.
    """

    prompts: list[list[int]]
    reading: Reading | None

    def inputs(self) -> tuple[IntArray, BoolArray]:
        """Tokens, whose last column has the last of each prompt, and where they are: each `rows x width`."""
        lengths = np.array([len(one) for one in self.prompts])
        places = np.arange(lengths.max())
        if self.reading is None:
            attended = places >= lengths.max() - lengths[:, None]
            tokens = np.zeros(attended.shape, dtype=np.int64)
            tokens[attended] = np.concatenate(self.prompts)
            return tokens, attended
        last = np.array([one[-1:] for one in self.prompts])
        attended = (places < lengths[:, None] - 1) | (places == lengths.max() - 1)
        return np.concatenate([whole(self.reading.stages), last], axis=1), attended


def plan_batch(prompts: Sequence[list[int]], budget: int, abilities: Abilities) -> tuple[list[int], Batch]:
    """Which prompt each row is, and the batch; a forward pass over prompts reads up to `budget` tokens."""
    if abilities.kept is None or max(map(len, prompts)) == 1:
        return list(range(len(prompts))), Batch(list(prompts), None)
    reading = plan_reading([one[:-1] for one in prompts], budget, abilities.per_pass)
    order = reading.order.tolist()
    return order, Batch([prompts[number] for number in order], reading)


def answers(model: Any, tokenizer: Any, batch: Batch, abilities: Abilities, endings: Endings) -> list[list[int]]:
    """The tokens of the answer to each prompt; behind what ends one, there may be others.

    Args:
        model: a causal language model of transformers.
        tokenizer: its own, with a padding token.
        batch: the prompts.
        abilities: of the model.
        endings: of all answers.
    """
    tokens, mask = (torch.from_numpy(one).to(device_of(model)) for one in batch.inputs())
    start, end = tokens.shape[1], tokens.shape[1] + endings.length
    cache = _cache(model, batch.reading, abilities, min(endings.length, _ROOM))
    texts = StopTexts(tokenizer, endings.texts, start) if endings.texts else None
    rows, found = torch.arange(len(tokens)), [list[int]() for _ in tokens]
    while len(rows):
        criterion = _Thinning(endings.tokens, texts, least=_FEW if cache is not None else len(rows) + 1)
        tokens = model.generate(
            input_ids=tokens,
            attention_mask=torch.nn.functional.pad(mask, (0, tokens.shape[1] - mask.shape[1]), value=True).long(),
            past_key_values=cache,
            max_length=end,
            do_sample=False,
            use_cache=True,
            eos_token_id=endings.tokens,
            pad_token_id=tokenizer.pad_token_id,
            stopping_criteria=[criterion],
        )
        done = criterion.done.cpu() | (tokens.shape[1] == end)
        for row, answer in zip(rows[done].tolist(), tokens[done.to(tokens.device), start:].tolist(), strict=True):
            found[row] = answer
        kept = torch.nonzero(~done).flatten()
        rows, tokens, mask = rows[kept], tokens[kept.to(tokens.device)], mask[kept.to(mask.device)]
        if len(rows) and cache is not None:
            cache.keep(kept)
            if texts is not None:
                texts.keep(kept.tolist())
    return found


class _Thinning(StoppingCriteria):  # type: ignore[misc, unused-ignore]  # the library is not typed
    """Which rows are done; once half of `least` rows or more are, all of them stop, so that those may be dropped."""

    def __init__(self, ends: Sequence[int], texts: StopTexts | None, least: int) -> None:
        self._ends, self._texts, self._least = torch.tensor(ends, dtype=torch.int64), texts, least
        self.done = torch.zeros(0, dtype=torch.bool)

    def __call__(self, input_ids: torch.Tensor, scores: Any, **options: Any) -> torch.Tensor:
        """Which rows stop, bool, `rows`."""
        ended = torch.isin(input_ids[:, -1], self._ends.to(input_ids.device))
        self.done = ended | self.done.to(ended.device) if len(self.done) else ended
        if self._texts is not None:
            self.done = self.done | self._texts(input_ids, scores)
        thin = len(self.done) >= self._least
        return self.done | (2 * self.done.sum() >= len(self.done)) if thin else self.done


def _cache(model: Any, reading: Reading | None, abilities: Abilities, room: int) -> RoomyCache | None:
    if reading is None or abilities.kept is None:
        return None
    return read(model, reading, abilities.kept.layers, room, abilities.select)
