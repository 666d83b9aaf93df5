"""A candidate as mergekit and lm-eval's harness evaluate it: warm in this process, and by their two commands."""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Correct = dict[str, list[float]]  # task -> exact match of each document


@dataclass(frozen=True)
class Question:
    """What every candidate is asked.

    Attributes:
        tasks: lm-eval's names of them.
        folder: their task files.
        documents: how many of each, from the first on.
        batch_size: requests per forward pass.
        dtype: of the merged weights.
    """

    tasks: Sequence[str]
    folder: Path
    documents: int
    batch_size: int
    dtype: str


@dataclass(frozen=True)
class Evaluated:
    """Seconds by stage, the exact match of each task, and, where known, the seconds of the forward passes alone."""

    seconds: Mapping[str, float]
    scores: Mapping[str, float]
    forward: float = 0.0


class ForwardClock:
    """Sums up the seconds of all forward passes of a class of models in this process, whoever asks for them."""

    def __init__(self, kind: Any) -> None:
        """Wrap the class's forward pass (of a transformers model)."""
        self.seconds = 0.0
        forward = kind.forward

        @functools.wraps(forward)  # `generate` looks at its arguments
        def timed(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return forward(*arguments, **options)
            finally:
                self.seconds += time.perf_counter() - started

        kind.forward = timed


class Warm:
    """What `mergekit-evolve` does for a candidate on disk: merge, write, load, `simple_evaluate`.

    Libraries are imported and task files indexed once, as in its workers; its own program does not start with current
    versions of lm-eval.
    """

    def __init__(self, question: Question, out: Path, clock: ForwardClock) -> None:
        """Import both, and evaluate nothing; models are merged into `out`."""
        from lm_eval.tasks import TaskManager
        from mergekit.options import MergeOptions

        for name in ("lm_eval", "mergekit", "transformers"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self.question, self.clock, self._out = question, clock, out
        self._tasks = TaskManager(include_path=str(question.folder))
        self._options = MergeOptions(lazy_unpickle=True, quiet=True, write_model_card=False)

    def evaluate(self, recipe: Mapping[str, Any]) -> Evaluated:
        """Merge by mergekit's configuration, and evaluate."""
        from mergekit.config import MergeConfiguration
        from mergekit.merge import run_merge

        shutil.rmtree(self._out, ignore_errors=True)
        with _silent():
            moments = [time.perf_counter()]
            run_merge(MergeConfiguration.model_validate(recipe), str(self._out), self._options)
            moments.append(time.perf_counter())
            model = self._load(self._out)
            moments.append(time.perf_counter())
            forward = self.clock.seconds
            found = self._evaluated(model, log_samples=False)["results"]
            forward = self.clock.seconds - forward
            moments.append(time.perf_counter())
        stages = {"merge": 0, "load": 1, "evaluate": 2}
        scores = {task: float(found[task]["exact_match,none"]) for task in self.question.tasks}
        return Evaluated({name: moments[at + 1] - moments[at] for name, at in stages.items()}, scores, forward)

    def correct(self, folder: Path | None = None) -> Correct:
        """Exact match of each document: of the model merged last, or of the one in a folder."""
        with _silent():
            found = self._evaluated(self._load(folder or self._out), log_samples=True)["samples"]
        ordered = {task: sorted(found[task], key=lambda one: int(one["doc_id"])) for task in self.question.tasks}
        return {task: [float(one["exact_match"]) for one in some] for task, some in ordered.items()}

    def _load(self, folder: Path) -> Any:
        from lm_eval.models.huggingface import HFLM

        asked = self.question
        return HFLM(pretrained=str(folder), device="cpu", dtype=asked.dtype, batch_size=asked.batch_size)

    def _evaluated(self, model: Any, log_samples: bool) -> Any:
        import lm_eval

        asked = self.question
        return lm_eval.simple_evaluate(
            model, tasks=list(asked.tasks), limit=asked.documents, task_manager=self._tasks, log_samples=log_samples
        )


class Commands:
    """`mergekit-yaml` and then `lm_eval`, as a shell's loop calls them for each candidate."""

    def __init__(self, question: Question, folder: Path) -> None:
        """Recipe, merged model and results go into `folder`."""
        self.question, self._folder = question, folder
        folder.mkdir()

    def evaluate(self, recipe: Mapping[str, Any]) -> Evaluated:
        """Run both commands in fresh processes."""
        asked, merged, results = self.question, self._folder / "merged", self._folder / "results"
        for stale in (merged, results):
            shutil.rmtree(stale, ignore_errors=True)
        source = self._folder / "recipe.yaml"
        source.write_text(json.dumps(recipe), encoding="utf-8")  # JSON is YAML
        moments = [time.perf_counter()]
        _call("mergekit-yaml", str(source), str(merged), "--lazy-unpickle", "--no-write-model-card", "--quiet")
        moments.append(time.perf_counter())
        model = ("--model", "hf", "--model_args", f"pretrained={merged},dtype={asked.dtype}", "--device", "cpu")
        tasks = ("--tasks", ",".join(asked.tasks), "--include_path", str(asked.folder))
        sizes = ("--limit", str(asked.documents), "--batch_size", str(asked.batch_size))
        _call("lm_eval", *model, *tasks, *sizes, "--output_path", str(results))
        moments.append(time.perf_counter())
        (written,) = results.rglob("results_*.json")
        found = json.loads(written.read_text(encoding="utf-8"))["results"]
        scores = {task: float(found[task]["exact_match,none"]) for task in asked.tasks}
        return Evaluated({"merge": moments[1] - moments[0], "evaluate": moments[2] - moments[1]}, scores)


def _call(program: str, *arguments: str) -> None:
    beside = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run([str(shutil.which(program, path=beside)), *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def _silent() -> Any:
    """Keep progress bars off the terminal."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere):
        yield
