"""What one trial of an lm-eval evaluator costs, over its bare forward passes and over `lm_eval.simple_evaluate`.

Bare passes are the model's own calls of the same trial, recorded, and made once more with the same tokens, masks and
caches and nothing between them: of a generation, the first pass and every step. `simple_evaluate` is given the model
in memory, wrapped once, and the tasks' names with an index that knows them; it loads and tokenises them for every
candidate, as it does for all its callers, without bootstrap and without a log of samples. Same tasks, documents and
batch size on both sides; all in turns, several rounds.
"""

from __future__ import annotations

import contextlib
import io
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from _bare import recorded, replay, tokens_of
from _harness import Outcome, Target, main
from _language_tasks import word_tokenizer, write_choices, write_words
from _llama import llama, weights_of

from mergesearch.evaluators.lm_eval import LMEvalEvaluator

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 128  # of the zoo's Llama, on both sides; versus_peers.py found its peer fastest with it
VOCABULARY = 32000
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Case:
    """One evaluation.

    Attributes:
        name: the model's, and what it is asked.
        tasks: names of tasks.
        folder: where their files are.
        batch_size: requests per forward pass.
        rounds: how often all sides take turns.
        simple: what the trial may take over `simple_evaluate`; None for no target.
        bare: what it may take over its bare passes; None for no target.
    """

    name: str
    tasks: list[str]
    folder: Path
    batch_size: int
    rounds: int = 5
    simple: float | None = None
    bare: float | None = None

    def targets(self, row: Row) -> Iterator[Target]:
        """Of what was measured."""
        for column, limit in (("trial / simple_evaluate", self.simple), ("trial / bare passes", self.bare)):
            if limit is not None:
                yield Target(f"{self.name}, batch size {self.batch_size}: {column}", float(row[column]), limit)


def measure(quick: bool) -> Outcome:
    """Measure the zoo's Llama, and a larger one of random weights."""
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    rows: list[Row] = []
    targets: list[Target] = []
    with tempfile.TemporaryDirectory(prefix="mergesearch-benchmark-") as name:
        for model, tokenizer, case in _cases(Path(name), quick):
            row = compare(model, tokenizer, case, 2 if quick else case.rounds)
            rows.append(row)
            targets += case.targets(row)
    note = (
        "Medians over the rounds; ratios are medians of those within a round. Padded tokens are what the trial read, "
        "and what `simple_evaluate` read for the same scores."
    )
    return Outcome("One lm-eval trial, over its forward passes and over simple_evaluate", rows, targets, note)


def compare(model: Any, tokenizer: Any, case: Case, rounds: int) -> Row:
    """Seconds of a trial, of its bare passes and of `simple_evaluate`, in turns."""
    evaluator = LMEvalEvaluator("language", case.tasks, include_path=str(case.folder), batch_size=case.batch_size)
    evaluator.prepare(model, tokenizer)
    samples = {task: np.arange(count) for task, count in evaluator.tasks().items()}
    simple = _simple_evaluate(model, tokenizer, case)
    calls, theirs = (recorded(model, run) for run in (lambda: evaluator.score(model, samples), simple))
    runs: dict[str, Callable[[], object]] = {
        "trial, s": lambda: evaluator.score(model, samples),
        "bare passes, s": lambda: replay(model, calls),
        "simple_evaluate, s": simple,
    }
    seconds = [{name: _seconds(run) for name, run in runs.items()} for _ in range(rounds)]
    return {
        "model, tasks": case.name,
        "documents": sum(map(len, samples.values())),
        "batch size": case.batch_size,
        "padded tokens": " / ".join(str(sum(tokens_of(call).numel() for call in one)) for one in (calls, theirs)),
        **{name: median(one[name] for one in seconds) for name in runs},
        **{
            f"trial / {name.removesuffix(', s')}": median(one["trial, s"] / one[name] for one in seconds)
            for name in list(runs)[1:]
        },
    }


def _cases(folder: Path, quick: bool) -> Iterator[tuple[Any, Any, Case]]:
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo
    from transformers import AutoModelForCausalLM, AutoTokenizer

    build_zoo(ROOT / "zoo")
    zoo = ROOT / "zoo" / "llama"
    tokenizer = AutoTokenizer.from_pretrained(zoo / "base")
    model = AutoModelForCausalLM.from_pretrained(zoo / "sort").eval()
    answers = [path.stem for path in sorted((zoo / "tasks").glob("*.yaml"))]
    for name in answers:
        shutil.copy(zoo / "tasks" / f"{name}.yaml", folder)
    choices = write_choices(zoo / "tasks" / "zoo_sort.jsonl", folder, 100 if quick else 200)
    both = [*answers, *choices]
    yield model, tokenizer, Case("zoo, generation", answers, folder, BATCH_SIZE, simple=0.4, bare=1.5)
    yield model, tokenizer, Case("zoo, multiple choice", choices, folder, BATCH_SIZE, simple=0.4, bare=1.3)
    for size in (BATCH_SIZE, 32):
        yield model, tokenizer, Case("zoo, both", both, folder, size, simple=0.4)
    large = llama(2 if quick else 8, 768, VOCABULARY, torch.float32)
    words = write_words(folder, VOCABULARY, 2 if quick else 4)
    name = f"{weights_of(large) / 1e6:.0f} M weights, few-shot choice"
    yield large, word_tokenizer(VOCABULARY, 2048), Case(name, words, folder, 8, rounds=3, simple=0.8, bare=1.3)


def _simple_evaluate(model: Any, tokenizer: Any, case: Case) -> Callable[[], object]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=case.batch_size)
    index = TaskManager(include_path=str(case.folder), include_defaults=False)

    def run() -> object:
        with contextlib.redirect_stderr(io.StringIO()):  # progress bars
            return lm_eval.simple_evaluate(
                wrapped, tasks=case.tasks, task_manager=index, bootstrap_iters=0, log_samples=False
            )

    return run


def _seconds(run: Callable[[], object]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(measure, __doc__ or "")
