"""Any program as an evaluator: it gets the path of the candidate's weights and prints metrics as JSON."""

from __future__ import annotations

import contextlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from ..errors import InputError, TrialError
from ._declared import Declared
from ._digest import digest
from ._programs.passing_folder import passing_folder
from ._programs.process import Program
from ._programs.weights_file import bytes_of, roomy, written
from .evaluator import Evaluator, IntArray, Scores
from .statistics.bootstrap import REPLICATES
from .statistics.scores import MetricScores


class CommandEvaluator(Evaluator):
    """Writes each candidate to files, in memory where that is possible, and calls a program.

    The task is called like the evaluator.

    The program prints a JSON object, at the latest on its last line: metric -> a list of one value per sample, or a
    number, whose error is then unknown. Where the command names `{samples}`, the values are those of the samples whose
    numbers are in that file, one on each line. Where it does not, the program scores all samples each time, those that
    are wanted are taken from its lists, and their error is known from resamples.
    """

    reads_weights = True

    def __init__(
        self,
        name: str,
        command: str | Sequence[str],
        metrics: Mapping[str, str] = MappingProxyType({"score": "maximize"}),
        samples: int = 1,
        timeout: float = 3600.0,
        format: Literal["folder", "safetensors"] | None = None,
    ) -> None:
        """Check the options and look for the program.

        Args:
            name: the evaluator's name, and its task's.
            command: program and arguments, as a list or as one line; no shell is between. `{path}` stands for the path
                of the weights, `{samples}` for that of a file of sample numbers.
            metrics: metric name -> `maximize` or `minimize`.
            samples: number of samples that the program can score.
            timeout: seconds that one call may take.
            format: `folder` (configuration, tokenizer and safetensors, as transformers loads it) or `safetensors`, one
                file; by default a folder where the model is one of transformers or diffusers.

        Raises:
            InputError: no such program, a command without `{path}`, a direction that is neither, or a number that is
                out of range.
        """
        super().__init__(name)
        if samples < 1:
            raise InputError(f"evaluator '{name}' has {samples} samples; give 1 or more")
        self._declared = Declared.parse(name, metrics)
        self._program = Program.parse(name, command, timeout)
        if not self._program.mentions("path"):
            raise InputError(f"evaluator '{name}': {self._program} does not say where the weights go; put in {{path}}")
        self._samples, self._format = samples, format
        self._tokenizer: Any | None = None

    def prepare(self, model: Any, tokenizer: Any | None) -> None:
        """Check that the weights can be written and have room.

        Raises:
            InputError: a folder is wanted of a model that cannot save itself, or there is no room.
        """
        self._tokenizer = tokenizer
        if self._format == "folder" and not hasattr(model, "save_pretrained"):
            raise InputError(
                f"evaluator '{self.name}': a {type(model).__name__} has no folder of its own; set format: safetensors"
            )
        try:
            roomy(bytes_of(model))
        except TrialError as error:
            raise InputError(f"evaluator '{self.name}': {error}") from error

    def tasks(self) -> dict[str, int]:
        """The evaluator's name -> number of samples."""
        return {self.name: self._samples}

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The evaluator's name -> metric name -> whether higher is better."""
        return {self.name: dict(self._declared.directions)}

    def score(self, model: Any, samples: Mapping[str, IntArray]) -> Scores:
        """Write the weights, call the program, and remove them again.

        Raises:
            TrialError: no room, or the program failed, took too long, or did not print what it should.
        """
        rows = np.asarray(samples[self.name], dtype=np.int64)
        folder = self._format == "folder" or (self._format is None and hasattr(model, "save_pretrained"))
        aside = Path(tempfile.gettempdir())
        with written(model, self._tokenizer, folder) as path, passing_folder(aside) as beside:
            numbers = beside / "samples.txt"
            numbers.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
            printed = self._program.run({"path": path, "samples": numbers}, output=self.output)
        result = self._parsed(printed)
        return {self.name: {metric: self._scores(metric, value, rows) for metric, value in result.items()}}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the options, and of the program and its script."""
        return digest("command", self._program.content(), self._declared.directions, self._samples, self._format)

    def _parsed(self, output: str) -> Mapping[str, Any]:
        lines = output.strip().split("\n")
        for text in (output, *reversed(lines)):  # programs say more, before it and behind it
            with contextlib.suppress(json.JSONDecodeError):
                found = json.loads(text)
                if isinstance(found, dict) or text in (output, lines[-1]):
                    return self._declared.named(found)
        raise TrialError(
            f"evaluator '{self.name}' printed {lines[-1][-80:]!r} at the end; print an object of metrics in JSON"
        )

    def _scores(self, metric: str, value: Any, rows: IntArray) -> MetricScores:
        chosen = self._program.mentions("samples")
        if isinstance(value, int | float) and self._samples > 1:
            if not chosen and len(rows) < self._samples:
                raise TrialError(
                    f"{self.name}/{metric}: one number, but {len(rows)} of {self._samples} samples were asked for; "
                    "print a list of one value per sample, or let the command take {samples}"
                )
            return MetricScores(float(value), None, np.full(REPLICATES, math.nan))
        if chosen:
            return self._declared.scores_of(metric, value, len(rows))
        whole = self._declared.scores_of(metric, value, self._samples)
        # Not a plain mean: racing would ask for some more samples at every look, and each time all were scored.
        return MetricScores.aggregate(np.asarray(whole.samples)[rows], lambda some: float(some.mean()))
