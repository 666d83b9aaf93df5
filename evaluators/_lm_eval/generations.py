"""Greedy `generate_until` requests: prompts encoded and put into batches once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from .abilities import Abilities
from .greedy import Batch, Endings, answers, plan_batch
from .model import HarnessModel

_GREEDY = {"until", "max_gen_toks", "do_sample", "temperature"}  # what a greedy request may say
# Bytes of keys and values that may stand together, whatever the batch size: a step with many rows of a small model
# takes little longer than one with few. Batches of a model of a billion weights take more anyway.
_LITTLE = 1 << 26


class Prompt(NamedTuple):
    """Tokens of a prompt, and when its answer ends: at the first of some texts, or after so many tokens."""

    tokens: list[int]
    stops: tuple[str, ...]
    length: int

    @property
    def size(self) -> int:
        """Tokens with the longest answer."""
        return len(self.tokens) + self.length

    @property
    def order(self) -> tuple[tuple[str, ...], int, int]:
        """Of prompts, those that go well together beside one another."""
        return self.stops, -self.length, -len(self.tokens)


class Generations:
    """Answers greedy `generate_until` requests of causal models.

    A row ends with a token that ends the text, or once a stop text has come for good: so an answer does not depend on
    how long the others take, and is the one that lm-eval gets with a batch of one.
    """

    def __init__(self, model: HarnessModel, abilities: Abilities) -> None:
        """Remember the model that turns requests into tokens, and what it allows."""
        self._model, self._abilities = model, abilities
        self._prompts: dict[int, Prompt] = {}

    def take(self, request: Any) -> bool:
        """Turn a request into tokens, left out where it has other options, or no room for the prompt."""
        if request.request_type != "generate_until":
            return False
        text, options = request.args
        settings = normalize_gen_kwargs(options, self._model.max_gen_toks)
        length = settings["max_gen_toks"]
        room = self._model.max_length - length
        beams = self._model.model.generation_config.num_beams or 1
        if settings["do_sample"] or set(settings) - _GREEDY or beams > 1 or room <= 0:
            return False
        ids, _ = self._model.tok_batch_encode([text], left_truncate_len=room)
        stops = handle_stop_sequences(settings["until"], _end_text(self._model))
        self._prompts[id(request)] = Prompt(ids[0].tolist(), tuple(stops), length)
        return True

    def plan(self, requests: Sequence[Any]) -> partial[list[list[str]]]:
        """Put prompts with the same stop texts into batches, the longest answers and prompts first."""
        prompts = [self._prompts[id(request)] for request in requests]
        # As many tokens as `batch_size` of the longest take, whatever is asked, so that memory is the same.
        budget = self._model.batch_size * max(prompt.size for prompt in self._prompts.values())
        kept = self._abilities.kept
        room = budget if kept is None else max(budget, _LITTLE // kept.bytes)
        batches = _batches(prompts, budget, room)
        even = _batches(prompts, -(-len(prompts) // len(batches)), room)  # rather than one with a few rows
        batches = even if len(even) == len(batches) else batches
        planned = [self._planned(prompts, batch, budget) for batch in batches]
        return partial(self._responses, requests=requests, prompts=prompts, batches=planned)

    def _planned(self, prompts: Sequence[Prompt], numbers: Sequence[int], budget: int) -> tuple[list[int], Batch]:
        """The number of the prompt of each row, and the batch."""
        order, batch = plan_batch([prompts[one].tokens for one in numbers], budget, self._abilities)
        return [numbers[place] for place in order], batch

    def _responses(
        self,
        model: HarnessModel,
        requests: Sequence[Any],
        prompts: Sequence[Prompt],
        batches: Sequence[tuple[list[int], Batch]],
    ) -> list[list[str]]:
        found: list[list[str]] = [[] for _ in requests]
        for numbers, batch in batches:
            some = [prompts[number] for number in numbers]
            for number, answer in zip(numbers, self._texts(model, batch, some), strict=True):
                found[number] = [answer] * requests[number].repeats
        return found

    def _texts(self, model: HarnessModel, batch: Batch, prompts: Sequence[Prompt]) -> list[str]:
        ends, stops = _ends(model), list(prompts[0].stops)
        texts = [text for text in stops if text != _end_text(model)]
        longest = Endings(ends, texts, max(prompt.length for prompt in prompts))
        found = answers(model.model, model.tokenizer, batch, self._abilities, longest)
        rows = [_until_end(row[: prompt.length], ends) for row, prompt in zip(found, prompts, strict=True)]
        decoded = model.tokenizer.batch_decode(rows, skip_special_tokens=True)
        return [postprocess_generated_text(text, stops, None) for text in decoded]


def _batches(prompts: Sequence[Prompt], most: int, room: int) -> list[list[int]]:
    """Numbers of prompts that go well together: of so many rows at most, and with room for so many tokens."""
    batches: list[list[int]] = []
    width = 0  # of the longest prompt in the last one
    for number in sorted(range(len(prompts)), key=lambda one: prompts[one].order):
        prompt = prompts[number]
        width = max(width, len(prompt.tokens))
        rows = len(batches[-1]) + 1 if batches else 0
        first = prompts[batches[-1][0]] if batches else prompt
        fits = rows <= most and rows * (width + first.length) <= room
        # Of an answer less than half as long, most of the steps were for others.
        if not batches or not fits or prompt.stops != first.stops or 2 * prompt.length < first.length:
            batches.append([])
            width = len(prompt.tokens)
        batches[-1].append(number)
    return batches


def _until_end(tokens: list[int], ends: Sequence[int]) -> list[int]:
    """Up to the first token that ends a text; that is still decoded, as lm-eval does, and mostly to nothing."""
    return next((tokens[: place + 1] for place, token in enumerate(tokens) if token in ends), tokens)


def _ends(model: HarnessModel) -> list[int]:
    """Tokens that end a text, by the model's own settings and by the tokenizer."""
    own = model.model.generation_config.eos_token_id
    listed = own if isinstance(own, list) else [own]
    return [token for token in dict.fromkeys([*listed, model.eot_token_id]) if token is not None]


def _end_text(model: HarnessModel) -> str:
    text: str = model.tok_decode([model.eot_token_id], skip_special_tokens=False)
    return text
