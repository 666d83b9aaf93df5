"""Greedy answers by the model's own `generate`: prompts encoded once, in batches that end with their last row."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs, postprocess_generated_text

from .model import HarnessModel
from .stops import StopTexts

_GREEDY = {"until", "max_gen_toks", "do_sample", "temperature"}  # what a greedy request may say


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

    def __init__(self, model: HarnessModel) -> None:
        """Remember the model that turns requests into tokens."""
        self._model = model
        self._prompts: dict[int, Prompt] = {}

    def take(self, request: Any) -> bool:
        """Turn a request into tokens, left out where it has other options, or no room for the prompt."""
        if request.request_type != "generate_until":
            return False
        text, options = request.args
        settings = normalize_gen_kwargs(options, self._model.max_gen_toks)
        length = settings["max_gen_toks"]
        room = self._model.max_length - length
        if settings["do_sample"] or set(settings) - _GREEDY or room <= 0:
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
        batches: list[list[int]] = []
        for number in sorted(range(len(prompts)), key=lambda one: prompts[one].order):
            if not batches or not _joins(prompts[number], [prompts[one] for one in batches[-1]], budget):
                batches.append([])
            batches[-1].append(number)
        return partial(_responses, requests=requests, prompts=prompts, batches=batches)


def _joins(prompt: Prompt, batch: Sequence[Prompt], budget: int) -> bool:
    """Whether a prompt, the next in order, may stand in the same batch."""
    first = batch[0]
    alike = prompt.stops == first.stops and 2 * prompt.length >= first.length  # else most of its steps were for others
    longest = max(len(prompt.tokens), *(len(one.tokens) for one in batch)) + first.length
    return alike and (len(batch) + 1) * longest <= budget


def _responses(
    model: HarnessModel, requests: Sequence[Any], prompts: Sequence[Prompt], batches: Sequence[Sequence[int]]
) -> list[list[str]]:
    found: list[list[str]] = [[] for _ in requests]
    for batch in batches:
        for number, answer in zip(batch, _answers(model, [prompts[one] for one in batch]), strict=True):
            found[number] = [answer] * requests[number].repeats
    return found


def _answers(model: HarnessModel, prompts: Sequence[Prompt]) -> list[str]:
    width, length, stops = max(len(one.tokens) for one in prompts), prompts[0].length, list(prompts[0].stops)
    ids, attended = torch.zeros((2, len(prompts), width), dtype=torch.int64)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt.tokens) :] = torch.tensor(prompt.tokens)
        attended[row, width - len(prompt.tokens) :] = 1
    ends = _ends(model)
    texts = [text for text in stops if text != _end_text(model)]
    found = model.model.generate(
        input_ids=ids.to(model.device),
        attention_mask=attended.to(model.device),
        max_length=width + length,
        do_sample=False,
        use_cache=True,
        eos_token_id=ends,
        pad_token_id=model.tokenizer.pad_token_id,
        stopping_criteria=[StopTexts(model.tokenizer, texts, width)] if texts else None,
    )
    rows = [
        _until_end(row[: prompt.length], ends) for row, prompt in zip(found[:, width:].tolist(), prompts, strict=True)
    ]
    decoded = model.tokenizer.batch_decode(rows, skip_special_tokens=True)
    return [postprocess_generated_text(text, stops, None) for text in decoded]


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
