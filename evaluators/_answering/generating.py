"""Answers of a model to prompts, each the same whatever is asked beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .._scoring import device_of, undisturbed
from .._texts.answers import Answer, opened

IntArray = NDArray[np.int64]
_ROUNDING = 16  # prompts are padded to multiples of it, so that few shapes are enough for prompts of all lengths


@dataclass(frozen=True)
class Sampling:
    """How answers are drawn.

    Attributes:
        samples: answers per prompt.
        seed: the same seed gives the same answers; an answer's chance follows from it, the prompt's number and the
            answer's among those of its prompt.
        max_new_tokens: after which an answer is cut off.
        temperature: 1 samples from the model itself; 0 takes the likeliest token, of which one sample is enough.
        batch_size: prompts per call of the model.
        chat: put each prompt into the tokenizer's chat template.
    """

    samples: int = 4
    seed: int = 0
    max_new_tokens: int = 128
    temperature: float = 1.0
    batch_size: int = 16
    chat: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        least = {"samples": 1, "seed": 0, "max_new_tokens": 1, "temperature": 0, "batch_size": 1}
        for key, low in least.items():
            value = getattr(self, key)
            if not low <= value < math.inf:
                what = "answers per prompt" if key == "samples" else key
                raise InputError(f"{what} = {value}; give {low} or more")
        if self.temperature == 0 and self.samples > 1:
            raise InputError(
                f"{self.samples} answers per prompt at temperature 0 are all alike; ask for 1, or raise the temperature"
            )


class Prompts:
    """Prompts, tokenised once, that any number of models may answer.

    Attributes:
        ids: tokens of each prompt.
    """

    def __init__(self, tokenizer: Any, prompts: Sequence[str], sampling: Sampling) -> None:
        self._tokenizer, self._prompts, self._sampling = tokenizer, prompts, sampling
        texts = [opened(tokenizer, prompt, sampling.chat) for prompt in prompts]
        special = not sampling.chat
        with undisturbed():
            self.ids = [list(tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]) for text in texts]
        lengths = np.array([len(ids) for ids in self.ids])
        self._widths = np.minimum(-(-lengths // _ROUNDING) * _ROUNDING, lengths.max(initial=0))

    def check(self, model: Any) -> None:
        """Check that a transformers model can answer them.

        Raises:
            InputError: it generates nothing; a prompt has no token, or it and its answer would be longer than the model
                can attend to.
        """
        if not hasattr(model, "generate") or not hasattr(model, "config"):
            raise InputError(f"{type(model).__name__} generates no text; take a language model of transformers")
        lengths = [len(ids) for ids in self.ids]
        if min(lengths) == 0:
            raise InputError(f"prompt {self._prompts[lengths.index(0)]!r} has no token; remove it")
        reach, length = getattr(model.config, "max_position_embeddings", None), max(lengths)
        if reach is not None and length + self._sampling.max_new_tokens > reach:
            raise InputError(
                f"prompts and answers take up to {length + self._sampling.max_new_tokens} tokens, but the model "
                f"attends to {reach}; shorten them"
            )

    def answers(self, model: Any, numbers: IntArray) -> list[Answer]:
        """Let a model answer prompts, by their numbers; the answers to one prompt follow one another.

        A batch has prompts of about one length, and its shape follows from that length and all prompts alone: kernels
        choose their summation order by shape, so an answer does not depend on the other prompts asked for.
        """
        found: dict[int, list[Answer]] = {}
        with undisturbed(model):
            for width in np.unique(self._widths[numbers]).tolist():
                alike = numbers[self._widths[numbers] == width]
                size = min(self._sampling.batch_size, int((self._widths == width).sum()))
                for start in range(0, len(alike), size):
                    some = alike[start : start + size]
                    found |= self._batch(model, np.pad(some, (0, size - len(some)), mode="edge"), width)
        return [answer for number in numbers.tolist() for answer in found[number]]

    def _batch(self, model: Any, numbers: IntArray, width: int) -> dict[int, list[Answer]]:
        from transformers import GenerationConfig

        drawn, ends = self._sampling, _ends(model, self._tokenizer)
        settings = GenerationConfig(
            do_sample=False,
            max_new_tokens=drawn.max_new_tokens,
            eos_token_id=ends or None,
            pad_token_id=ends[0] if ends else 0,
        )
        ids, attended = (one.to(device_of(model)) for one in self._left_padded(numbers, width))
        with _only(settings, model):
            tokens = model.generate(input_ids=ids, attention_mask=attended, logits_processor=self._noise(numbers))
        answers = [self._answer(row, ends) for row in tokens[:, width:].tolist()]
        each = (answers[start : start + drawn.samples] for start in range(0, len(answers), drawn.samples))
        return {
            number: [Answer(self._prompts[number], *answer) for answer in own]
            for number, own in zip(numbers.tolist(), each, strict=True)
        }

    def _noise(self, numbers: IntArray) -> list[Any]:
        """What turns greedy decoding into sampling; nothing at temperature 0."""
        drawn = self._sampling
        if drawn.temperature == 0:
            return []
        from .gumbel import GumbelNoise

        seeds = [[drawn.seed, number, sample] for number in numbers.tolist() for sample in range(drawn.samples)]
        return [GumbelNoise(seeds, drawn.temperature)]

    def _left_padded(self, numbers: IntArray, width: int) -> tuple[Any, Any]:
        """Token ids, `(prompts · samples) x width`, padded on the left, and which of them count."""
        import torch

        ids, attended = torch.zeros((2, len(numbers), width), dtype=torch.int64)
        for place, number in enumerate(numbers.tolist()):
            row = self.ids[number]
            ids[place, width - len(row) :] = torch.tensor(row)
            attended[place, width - len(row) :] = 1
        samples = self._sampling.samples
        return ids.repeat_interleave(samples, dim=0), attended.repeat_interleave(samples, dim=0)

    def _answer(self, row: list[int], ends: list[int]) -> tuple[str, bool]:
        """Text, and whether it ended by itself."""
        end = next((place for place, token in enumerate(row) if token in ends), None)
        return self._tokenizer.decode(row[:end], skip_special_tokens=True), end is not None


def generate_answers(model: Any, tokenizer: Any, prompts: Sequence[str], sampling: Sampling) -> list[Answer]:
    """Let a transformers model answer prompts; the answers to one prompt follow one another.

    Nothing but the temperature shapes the distribution: the model's own settings (top-k, top-p, penalties) are off.

    Raises:
        InputError: a prompt and its answer would be longer than the model can attend to.
    """
    asked = Prompts(tokenizer, prompts, sampling)
    asked.check(model)
    return asked.answers(model, np.arange(len(prompts)))


@contextmanager
def _only(settings: Any, model: Any) -> Iterator[None]:
    """Let `settings` alone shape what is generated: the model's own would fill in what they leave out."""
    own, model.generation_config = model.generation_config, settings
    try:
        yield
    finally:
        model.generation_config = own


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """Tokens that end an answer."""
    own = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    tokens = [own] if own is None or isinstance(own, int) else list(own)
    return [token for token in dict.fromkeys([*tokens, tokenizer.eos_token_id]) if token is not None]
