"""Generated answers rated by a command of the user's."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import TrialError
from ._answering.generating import Sampling
from ._answering.rated import AnsweringEvaluator
from ._declared import Declared
from ._digest import digest
from ._programs.passing_folder import passing_folder
from ._programs.process import Program
from ._texts.answers import Answer, write_answers
from .statistics.scores import FloatArray


class JudgeEvaluator(AnsweringEvaluator):
    """Lets a candidate answer prompts, and a program rate the answers; a sample is a prompt.

    The program is called once for each candidate. It gets JSON lines of `prompt`, `response` and `ended` (false where
    the answer was cut off) on its standard input, or in the file whose path stands in place of `{path}`, and prints one
    line of JSON per answer, in the same order: a number, or an object of all metrics.
    """

    def __init__(
        self,
        name: str,
        file: str,
        command: str | Sequence[str],
        metrics: Mapping[str, str] = MappingProxyType({"score": "maximize"}),
        timeout: float = 600.0,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        answers: int = 1,
        seed: int = 0,
        batch_size: int = 16,
        apply_chat_template: bool = False,
    ) -> None:
        """Read the prompts and look for the program.

        Args:
            name: the evaluator's name, and its task's.
            file: path of the prompts: JSON lines with `prompt` (ending in .jsonl), or a text with one on each line.
            command: program and arguments, as a list or as one line; no shell is between.
            metrics: metric name -> `maximize` or `minimize`.
            timeout: seconds that one call may take.
            max_new_tokens: after which an answer is cut off.
            temperature: 0 takes the likeliest token; 1 samples from the candidate itself.
            answers: per prompt, where they are sampled.
            seed: of the sampling, the same for all candidates.
            batch_size: prompts per call of the candidate.
            apply_chat_template: put each prompt into the candidate's chat template.

        Raises:
            InputError: the file cannot be used, there is no such program, a direction that is neither, or a number that
                is out of range.
        """
        sampling = Sampling(answers, seed, max_new_tokens, temperature, batch_size, apply_chat_template)
        super().__init__(name, file, sampling)
        self._declared = Declared.parse(name, metrics)
        self._program = Program.parse(name, command, timeout)

    def metrics(self) -> dict[str, dict[str, bool]]:
        """The evaluator's name -> metric name -> whether higher is better."""
        return {self.name: dict(self._declared.directions)}

    def rate(self, answers: Sequence[Answer]) -> dict[str, FloatArray]:
        """Ratings of the answers, by metric.

        Raises:
            TrialError: the program failed, took too long, or did not print one rating per answer.
        """
        with passing_folder(Path(tempfile.gettempdir())) as folder:
            path = folder / "answers.jsonl"
            write_answers(path, answers)
            stdin = "" if self._program.mentions("path") else path.read_text(encoding="utf-8")
            lines = self._program.run({"path": path}, stdin, self.output).split("\n")
        found = [self._rating(line) for line in lines if line.strip()]
        if len(found) != len(answers):
            raise TrialError(
                f"judge '{self.name}' printed {len(found)} lines for {len(answers)} answers; print one each"
            )
        columns = {metric: [one[metric] for one in found] for metric in self._declared.directions}
        scores = self._declared.scores(columns, len(answers))
        return {metric: np.asarray(one.samples) for metric, one in scores.items()}

    def fingerprint(self) -> str:
        """Hash (hexadecimal) of the prompts, how they are answered, the command, its program and script."""
        return digest("judge", self.content(), self._program.content(), self._declared.directions)

    def _rating(self, line: str) -> Mapping[str, Any]:
        try:
            return self._declared.named(json.loads(line))
        except json.JSONDecodeError as error:
            raise TrialError(f"judge '{self.name}' printed {line[:80]!r}, which is no JSON ({error.msg})") from error
