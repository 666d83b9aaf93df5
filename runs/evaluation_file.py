"""All that was evaluated of one candidate by one evaluator: a file that only grows, a line for each set of samples.

A line begins with its line break, so that what a kill tore off does not spoil the next one, and carries a checksum.
Lines are appended by one call, and several processes may do so at once. Nothing waits for the disk: what a power cut
takes is evaluated again.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.statistics.scores import MetricScores
from .folder import writing

log = logging.getLogger(__name__)

Samples = Mapping[str, IntArray]
Part = tuple[Scores, Samples]


def read_parts(path: Path) -> list[Part]:
    """Every part that was appended: scores, and the samples (ascending indices per task) that they are of.

    Lines that are damaged are left out. There are no parts where there is no file.
    """
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    parts = [_decoded(line) for line in lines if line]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        log.warning("'%s' is damaged in part; the scores that are lost will be evaluated again", path)
    return found


def append_part(path: Path, scores: Scores, samples: Samples) -> None:
    """Append scores and the samples that they are of.

    Raises:
        InputError: it cannot be written, as on a full disk.
    """
    content = _encoded(scores, samples)
    with writing(path):
        try:
            file = path.open("ab")
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab")
        with file:
            file.write(b"\n%08x %s" % (zlib.crc32(content), content))


def _encoded(scores: Scores, samples: Samples) -> bytes:
    tasks = {
        task: {
            "samples": _packed(samples[task], "<i8"),
            "metrics": {name: _plain(one) for name, one in metrics.items()},
        }
        for task, metrics in scores.items()
    }
    return json.dumps(tasks, separators=(",", ":")).encode()


def _plain(scores: MetricScores) -> Sequence[Any]:
    return scores.value, _packed(scores.samples, "<f8"), _packed(scores.replicates, "<f8")


def _decoded(line: bytes) -> Part | None:
    """The part in a line; None where the line is not as it was written."""
    checksum, _, content = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(content):
        return None
    tasks = json.loads(content)
    samples = {task: cast(IntArray, _unpacked(one["samples"], "<i8")) for task, one in tasks.items()}
    scores = {
        task: {
            name: MetricScores(value, _unpacked(each, "<f8"), _unpacked(replicates, "<f8"))
            for name, (value, each, replicates) in one["metrics"].items()
        }
        for task, one in tasks.items()
    }
    return scores, samples


def _packed(values: NDArray[Any] | None, kind: DTypeLike) -> str | None:
    if values is None:
        return None
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, dtype=kind).tobytes(), level=1)).decode()


def _unpacked(text: str | None, kind: DTypeLike) -> NDArray[Any] | None:
    return None if text is None else np.frombuffer(zlib.decompress(base64.b64decode(text)), dtype=kind)
