"""What is known of candidates sample by sample, over all runs that share a folder: nothing is evaluated twice."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.statistics.scores import MetricScores
from ..spaces.table import FloatArray
from .evaluation_file import Part, Samples, append_part, read_parts

_RECENT = 64  # candidates times evaluators

Column = tuple[IntArray, FloatArray]  # samples, ascending, and their values


@dataclass(frozen=True)
class Known:
    """Scores of one candidate by one evaluator, as they were evaluated part by part.

    Attributes:
        parts: scores, and the samples (ascending indices per task) that they are of.
    """

    parts: Sequence[Part]
    _columns: dict[tuple[str, str], Column | None] = field(default_factory=dict, repr=False, compare=False)

    def missing(self, task: str, wanted: IntArray, metrics: Iterable[str]) -> IntArray:
        """The samples that must be evaluated before `scores` can tell these metrics of all that are `wanted`.

        They are all of them where one of the metrics has no value of its own for each sample.
        """
        if self._whole(task, wanted) is not None:
            return wanted[:0]
        absent = np.zeros(len(wanted), dtype=np.bool_)
        for metric in metrics:
            column = self._column(task, metric)
            if column is None:
                return wanted
            absent |= ~np.isin(wanted, column[0], assume_unique=True)
        return wanted[absent]

    def scores(self, task: str, wanted: IntArray) -> dict[str, MetricScores]:
        """Metric -> scores on the samples that are `wanted`, of all the metrics that are known on them."""
        whole = self._whole(task, wanted)
        if whole is not None:
            return whole
        found = {}
        for metric in dict.fromkeys(name for scores, _ in self.parts for name in scores.get(task, {})):
            column = self._column(task, metric)
            if column is not None and np.isin(wanted, column[0], assume_unique=True).all():
                found[metric] = MetricScores.mean(column[1][np.searchsorted(column[0], wanted)])
        return found

    def _whole(self, task: str, wanted: IntArray) -> dict[str, MetricScores] | None:
        """The scores that were evaluated on these very samples."""
        for scores, samples in self.parts:
            if task in scores and np.array_equal(samples[task], wanted):
                return scores[task]
        return None

    def _column(self, task: str, metric: str) -> Column | None:
        """Values of a metric that is the mean of one value per sample; None of any other."""
        if (task, metric) not in self._columns:
            self._columns[task, metric] = self._gathered(task, metric)
        return self._columns[task, metric]

    def _gathered(self, task: str, metric: str) -> Column | None:
        parts = [(scores[task][metric], rows[task]) for scores, rows in self.parts if metric in scores.get(task, {})]
        if not parts or any(one.samples is None or one.replicates is not None for one, _ in parts):
            return None
        samples, first = np.unique(np.concatenate([rows for _, rows in parts]), return_index=True)
        return samples, np.concatenate([one.samples for one, _ in parts if one.samples is not None])[first]


class EvaluationCache:
    """Evaluations on disk: one file per candidate and evaluator, read when it is asked for.

    A key names the weights and the evaluator with its data, so that any run may use what another has found. Nothing is
    ever removed. The folder may be deleted at any time: what it held is evaluated again.

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
            self._remember(key, Known(read_parts(self._path(key))))
        return self._recent[key]

    def add(self, key: str, scores: Scores, samples: Samples) -> Known:
        """Keep scores that were evaluated on these samples (ascending indices per task); returns all that is known.

        Raises:
            InputError: they cannot be written, as on a full disk.
        """
        parts = self.known(key).parts
        append_part(self._path(key), scores, samples)
        self._remember(key, Known([*parts, (scores, samples)]))
        return self._recent[key]

    def _remember(self, key: str, known: Known) -> None:
        """Keep what is known of the last few candidates at hand, for the next look at them."""
        self._recent.pop(key, None)
        self._recent[key] = known
        while len(self._recent) > _RECENT:
            del self._recent[next(iter(self._recent))]

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.scores"
