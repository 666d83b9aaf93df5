"""What is known of candidates sample by sample, over all runs that share a folder: nothing is evaluated twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.statistics.scores import MetricScores
from .score_files import ScoreFiles, samples_digest

Samples = Mapping[str, IntArray]

_RECENT = 16  # candidates times evaluators


@dataclass(frozen=True)
class Known:
    """Scores of one candidate by one evaluator, as they were evaluated part by part.

    Attributes:
        parts: scores, and the samples (ascending indices per task) that they are of.
    """

    parts: Sequence[tuple[Scores, Samples]]

    def missing(self, task: str, wanted: IntArray, metrics: Iterable[str]) -> IntArray:
        """The samples that must be evaluated before `scores` can tell these metrics of all that are `wanted`.

        They are all of them where one of the metrics has no value of its own for each sample.
        """
        if self._whole(task, wanted) is not None:
            return wanted[:0]
        absent = np.zeros(len(wanted), dtype=np.bool_)
        for metric in metrics:
            values = self._values(task, metric)
            if values is None:
                return wanted
            absent |= np.array([int(sample) not in values for sample in wanted])
        return wanted[absent]

    def scores(self, task: str, wanted: IntArray) -> dict[str, MetricScores]:
        """Metric -> scores on the samples that are `wanted`, of all the metrics that are known on them."""
        whole = self._whole(task, wanted)
        if whole is not None:
            return whole
        found = {}
        for metric in dict.fromkeys(name for scores, _ in self.parts for name in scores.get(task, {})):
            values = self._values(task, metric)
            if values is not None and all(int(sample) in values for sample in wanted):
                found[metric] = MetricScores.mean([values[int(sample)] for sample in wanted])
        return found

    def _whole(self, task: str, wanted: IntArray) -> dict[str, MetricScores] | None:
        """The scores that were evaluated on these very samples."""
        for scores, samples in self.parts:
            if task in scores and np.array_equal(samples[task], wanted):
                return scores[task]
        return None

    def _values(self, task: str, metric: str) -> dict[int, float] | None:
        """Sample -> value of a metric that is the mean of one value per sample; None of any other."""
        found: dict[int, float] = {}
        for scores, samples in self.parts:
            one = scores.get(task, {}).get(metric)
            if one is None:
                continue
            if one.samples is None or one.replicates is not None:
                return None
            found = {**dict(zip(samples[task].tolist(), one.samples.tolist(), strict=True)), **found}
        return found or None


class EvaluationCache:
    """Evaluations on disk: one folder per candidate and evaluator, in it one file per set of samples evaluated.

    A key names the weights and the evaluator with its data, so that any run may use what another has found.

    Raises:
        InputError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        first = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        if not (first.is_dir() and os.access(first, os.W_OK)):
            raise InputError(f"cache '{folder}' is no folder that can be written to ('{first}'); give another one")
        self._folder = folder
        self._recent: dict[str, Known] = {}

    def known(self, key: str) -> Known:
        """Everything that was evaluated under `key`."""
        if key not in self._recent:
            self._remember(key, Known(list(ScoreFiles(self._place(key)).all())))
        return self._recent[key]

    def add(self, key: str, scores: Scores, samples: Samples) -> Known:
        """Keep scores that were evaluated on these samples (ascending indices per task); returns all that is known."""
        known, place = Known([*self.known(key).parts, (scores, samples)]), self._place(key)
        with contextlib.suppress(OSError):  # where it fails, so does the writing, which says so
            place.mkdir(parents=True, exist_ok=True)
        ScoreFiles(place).save(samples_digest(samples)[:32], scores, samples)
        self._remember(key, known)
        return known

    def _remember(self, key: str, known: Known) -> None:
        """Keep what is known of the last few candidates at hand, for the next look at them."""
        self._recent.pop(key, None)
        self._recent[key] = known
        while len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _place(self, key: str) -> Path:
        return self._folder / key[:2] / key
