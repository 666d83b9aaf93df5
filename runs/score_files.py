"""Per-sample scores on disk: one Parquet file per candidate and set of samples, named by what they depend on."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.scores import MetricScores
from .folder import write_atomically

_KINDS = ("value", "sample", "replicate")


class ScoreFiles:
    """The evaluation cache of a run. A key names the weights, the evaluators and the samples, never only a table."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: str) -> Scores | None:
        """Return the scores saved under `key`, or None."""
        path = self._path(key)
        return _decode(pq.read_table(path)) if path.is_file() else None

    def save(self, key: str, scores: Scores, samples: Mapping[str, IntArray]) -> None:
        """Save scores under `key`, with the numbers of their samples."""
        buffer = io.BytesIO()
        pq.write_table(_encode(scores, samples), buffer)
        write_atomically(self._path(key), buffer.getvalue())

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.parquet"


def score_key(*parts: str) -> str:
    """Key from the identities of weights, evaluators and samples (32 hexadecimal digits)."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def samples_digest(samples: Mapping[str, IntArray]) -> str:
    """Identity of a choice of samples (hexadecimal)."""
    content = hashlib.sha256()
    for task in sorted(samples):
        content.update(f"{task}\0".encode() + samples[task].tobytes())
    return content.hexdigest()


def _encode(scores: Scores, samples: Mapping[str, IntArray]) -> pa.Table:
    """One row per number: task, metric, kind (value, sample, replicate), sample number (-1 for none), value."""
    columns: dict[str, list[object]] = {"task": [], "metric": [], "kind": []}
    numbers: list[np.ndarray] = []
    values: list[np.ndarray] = []
    for task, metrics in scores.items():
        for metric, one in metrics.items():
            parts = {"value": np.array([one.value]), "sample": one.samples, "replicate": one.replicates}
            for kind, part in parts.items():
                if part is None:
                    continue
                columns["task"] += [task] * len(part)
                columns["metric"] += [metric] * len(part)
                columns["kind"] += [kind] * len(part)
                numbers.append(samples[task] if kind == "sample" else np.full(len(part), -1))
                values.append(part)
    encoded = {name: pa.array(column, pa.string()).dictionary_encode() for name, column in columns.items()}
    return pa.table({**encoded, "sample": np.concatenate(numbers), "score": np.concatenate(values)})


def _decode(table: pa.Table) -> Scores:
    scores: Scores = {}
    parts: dict[tuple[str, str], dict[str, list[float]]] = {}
    columns = [table.column(name).to_pylist() for name in ("task", "metric", "kind", "score")]
    for task, metric, kind, value in zip(*columns, strict=True):
        parts.setdefault((task, metric), {}).setdefault(kind, []).append(value)
    for (task, metric), found in parts.items():
        value, samples, replicates = (found.get(kind) for kind in _KINDS)
        scores.setdefault(task, {})[metric] = MetricScores(
            value=value[0] if value else float("nan"),
            samples=None if samples is None else np.array(samples),
            replicates=None if replicates is None else np.array(replicates),
        )
    return scores
