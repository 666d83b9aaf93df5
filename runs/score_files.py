"""Per-sample scores on disk: one Parquet file per candidate and set of samples, named by what they depend on."""

from __future__ import annotations

import hashlib
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.statistics.scores import FloatArray, MetricScores
from .folder import write_atomically


class ScoreFiles:
    """Scores in one folder. A key names the weights, the evaluators and the samples, never only a table."""

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
    """One row per number: task, metric, kind (value, sample or replicate), sample number (-1 for none), value."""
    blocks = [block for task, metrics in scores.items() for block in _blocks(task, metrics, samples[task])]
    sizes = [len(numbers) for _, numbers, _ in blocks]
    labels = zip(*(names for names, _, _ in blocks), strict=True)
    columns = {name: _repeated(column, sizes) for name, column in zip(("task", "metric", "kind"), labels, strict=True)}
    numbers, values = (np.concatenate([block[part] for block in blocks]) for part in (1, 2))
    return pa.table({**columns, "sample": numbers, "score": values})


def _repeated(labels: Sequence[str], sizes: Sequence[int]) -> pa.DictionaryArray:
    """Every label as many times as its size says."""
    codes = {label: code for code, label in enumerate(dict.fromkeys(labels))}
    each = np.array([codes[label] for label in labels], dtype=np.int32)
    return pa.DictionaryArray.from_arrays(np.repeat(each, sizes), pa.array(list(codes), pa.string()))


def _blocks(
    task: str, metrics: Mapping[str, MetricScores], asked: IntArray
) -> Iterator[tuple[tuple[str, str, str], IntArray, FloatArray]]:
    """The numbers of one task, kind by kind: (task, metric, kind), sample numbers, values."""
    for metric, one in metrics.items():
        parts = {"value": np.array([one.value]), "sample": one.samples, "replicate": one.replicates}
        for kind, part in parts.items():
            if part is not None:
                yield (task, metric, kind), asked if kind == "sample" else np.full(len(part), -1), part


def _decode(table: pa.Table) -> Scores:
    parts: dict[tuple[str, str], dict[str, FloatArray]] = {}
    values = table.column("score").to_numpy()
    codes = np.stack([table.column(name).combine_chunks().indices.to_numpy() for name in ("task", "metric", "kind")])
    starts = [0, *(np.flatnonzero(np.any(np.diff(codes), axis=0)) + 1).tolist(), len(values)]
    for start, stop in itertools.pairwise(starts):
        task, metric, kind = (table.column(name)[start].as_py() for name in ("task", "metric", "kind"))
        parts.setdefault((task, metric), {})[kind] = values[start:stop]
    scores: Scores = {}
    for (task, metric), found in parts.items():
        scores.setdefault(task, {})[metric] = MetricScores(
            value=float(found["value"][0]), samples=found.get("sample"), replicates=found.get("replicate")
        )
    return scores
