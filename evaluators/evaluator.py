"""The contract of an evaluator: tasks with numbered samples in, one score per sample and metric out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .statistics.scores import MetricScores

IntArray = NDArray[np.int64]
Scores = dict[str, dict[str, MetricScores]]


class Evaluator(ABC):
    """Scores the live model on chosen samples of its tasks.

    Whatever does not depend on the weights is prepared once, in `prepare`; `score` is called for every candidate.
    Options are the keyword arguments of `__init__` after `name`, and are the keys of the configuration.

    `score` leaves the model's mode, parameters and gradients and the global random states as they were; the same
    weights get the same scores bit for bit. The value of a sample does not depend on which others are asked for
    beside it, but for rounding where a library composes the batches.

    Attributes:
        output: file that all that programs of the user's print is appended to; set by a run, None keeps nothing.
        reads_weights: whether `score` takes tensors out of the model instead of calling it; where adapters stay beside
            the weights, these are the base's.
    """

    output: Path | None = None
    reads_weights: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Load data and build batches for the live `model` (torch.nn.Module); called once, before any `score`.

        Raises:
            InputError: data or options cannot be used; nothing has been evaluated yet.
        """

    @abstractmethod
    def tasks(self) -> Mapping[str, int]:
        """Task name -> number of samples. Known without a model; names are unique within a run.

        An evaluator that counts tokens knows it from `prepare(None, tokenizer)` on, and raises InputError before.
        """

    @abstractmethod
    def metrics(self) -> Mapping[str, Mapping[str, bool]]:
        """Task name -> metric name -> whether higher is better. Known without a model."""

    @abstractmethod
    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Score `model` on the samples (ascending indices per task); task -> metric -> scores of those samples."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash (hexadecimal) of everything but the weights that the scores depend on: options, data, versions."""

    def references(self) -> Sequence[str]:
        """Names ("base", or of members) of the models that candidates are compared with. None by default.

        Known without a model; each is shown to `observe` before the first `score`.
        """
        return ()

    def observe(self, reference: str, model: Any) -> None:
        """Keep what the comparison needs of a reference, whose weights the live `model` shows.

        Called after `prepare`, at most once for each of `references()`; leaves the model and the random states as
        they were.

        Raises:
            InputError: the reference cannot be used; its outputs are not finite, for example.
        """
        raise NotImplementedError(f"{type(self).__name__} compares candidates with no reference '{reference}'")

    def differentiable(self) -> Mapping[str, Sequence[str]]:
        """Task name -> its losses that `backward` can differentiate, lower is better; the best one to steer by first.

        They need not be among `metrics`. None by default. Known once `prepare` was called.
        """
        return {}

    def backward(self, model: Any, task: str, metric: str, samples: IntArray) -> MetricScores:
        """Score one differentiable loss on samples (ascending indices), and call `.backward()` on its value.

        May do so in several parts that add up to the value. Gradients are left where autograd puts them; the rest of
        the model and the random states are as before.
        """
        raise NotImplementedError(f"{type(self).__name__} has no differentiable loss {task}/{metric}")
