"""Evaluators that let every candidate answer the same prompts, and rate the answers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError
from .._digest import digest
from .._texts.answers import Answer, read_prompts
from ..evaluator import Evaluator, IntArray, Scores
from ..statistics.scores import FloatArray, MetricScores
from .generating import Prompts, Sampling


class AnsweringEvaluator(Evaluator):
    """A sample is a prompt; its value is the mean rating of its answers. The task is called like the evaluator.

    Args:
        name: the evaluator's name, and its task's.
        file: path of the prompts: JSON lines with `prompt` (ending in .jsonl), or a text with one on each line.
        sampling: how answers are drawn.

    Raises:
        InputError: the file is missing, has no prompts or a line without one, or a number is out of range.
    """

    def __init__(self, name: str, file: str, sampling: Sampling) -> None:
        super().__init__(name)
        self.prompts, self.sampling = read_prompts(Path(file).expanduser()), sampling
        self._asked: Prompts | None = None

    @abstractmethod
    def rate(self, answers: Sequence[Answer]) -> Mapping[str, FloatArray]:
        """Rate answers: metric -> float64, `answers`."""

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Tokenise the prompts, once.

        Raises:
            InputError: no tokenizer, no chat template where one is asked for, no language model, or a prompt that is
                too long for it.
        """
        if tokenizer is None:
            raise InputError(f"evaluator '{self.name}' needs a tokenizer; put one beside the base model's weights")
        if self.sampling.chat and getattr(tokenizer, "chat_template", None) is None:
            raise InputError(f"evaluator '{self.name}': the tokenizer has no chat template; unset apply_chat_template")
        self._asked = Prompts(tokenizer, self.prompts, self.sampling)
        self._asked.check(model)

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of prompts."""
        return {self.name: len(self.prompts)}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Let `model` answer prompts, and rate the answers.

        Raises:
            InputError: `prepare` has not been called.
            TrialError: the answers cannot be rated.
        """
        if self._asked is None:
            raise InputError(f"evaluator '{self.name}' has no prompts yet; call prepare first")
        rows = np.asarray(samples[self.name])
        ratings = self.rate(self._asked.answers(model, rows))
        each = {metric: values.reshape(len(rows), -1).mean(axis=1) for metric, values in ratings.items()}
        return {self.name: {metric: MetricScores.mean(values) for metric, values in each.items()}}

    def content(self) -> str:
        """Hash (hexadecimal) of what the answers hang on but for the weights: prompts, and how they are answered."""
        return digest(self.prompts, vars(self.sampling), self._asked.ids if self._asked else None)
