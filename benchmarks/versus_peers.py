"""Candidates per minute of a whole search of the zoo's Llama, beside mergekit's merges and lm-eval's harness.

One search runs from its first trial to its written report. In between its clock stands still, and the same candidates
are merged by mergekit and evaluated by `lm_eval.simple_evaluate`, in this process with everything warm, as
`mergekit-evolve` does on disk; and by the commands `mergekit-yaml` and `lm_eval`, beside which our own command counts
with its start-up. Everyone has the same documents, batch size, dtype and threads; scores are compared document by
document, also on our own weights, so that differences of the merge and of the evaluation are told apart.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import yaml
from _beside import Beside, Clock
from _harness import Outcome, Target, main
from _peers import Commands, Evaluated, ForwardClock, Question, Warm

from mergesearch import Config, run

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 128  # of 32, 64, 128 and 256, where the warm peer is fastest
DOCUMENTS = (50, 200, 400)  # of each task; the example's search sees 200, and there are 400
COMMANDS = 200  # the number at which commands are compared, too
FIRST = 11  # trials before it are baselines
Row = dict[str, str | int | float]


@dataclass(frozen=True)
class Side:
    """One way to evaluate candidates.

    Attributes:
        who: does it.
        candidates: number of them.
        seconds: for one.
        forward: of which in forward passes; 0 where that is not known.
        stages: of which in which stage.
    """

    who: str
    candidates: int
    seconds: float
    forward: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)

    @classmethod
    def peer(cls, who: str, found: Sequence[Evaluated]) -> Side:
        """Means over the candidates that a peer evaluated."""
        stages = {stage: fmean(one.seconds[stage] for one in found) for stage in found[0].seconds}
        return cls(who, len(found), sum(stages.values()), fmean(one.forward for one in found), stages)

    def row(self, documents: int, ours: Side | None = None) -> Row:
        """Its line of the table, beside ours."""
        known = {"forward": self.forward, **self.stages}
        shown = {name: f"{seconds:.3g}" for name, seconds in known.items() if seconds}
        return {
            "documents": documents,
            "who": self.who,
            "candidates": self.candidates,
            "s each": self.seconds,
            **{name: shown.get(name, "") for name in ("merge", "load", "evaluate", "forward")},
            "per minute": 60 / self.seconds,
            "ours faster by": f"{self.seconds / ours.seconds:.3g}" if ours else "",
        }


def measure(quick: bool) -> Outcome:
    """Search with each number of documents."""
    from transformers import LlamaForCausalLM

    os.chdir(ROOT)  # the example configuration names the zoo from there
    sys.path.insert(0, str(ROOT / "examples" / "zoo"))
    from train import build_zoo

    build_zoo(ROOT / "zoo", only="llama")
    rows: list[Row] = []
    targets: list[Target] = []
    trials, clock = 20 if quick else 60, ForwardClock(LlamaForCausalLM)
    for documents in (COMMANDS,) if quick else DOCUMENTS:
        with tempfile.TemporaryDirectory(prefix="mergesearch-benchmark-") as out:
            for row, some in _search(Path(out), documents, trials, clock):
                rows.append(row)
                targets += some
    note = (
        f"Batches of {BATCH_SIZE}. A search of {trials} trials, one row of coefficients per layer, TPE on the mean of "
        f"all tasks, {FIRST} baselines included; nothing held out, so that each trial is scored on all the documents. "
        "'Merge' is mergekit's merge and its writing, of its command also the start of Python. 'Forward' is the "
        "model's forward passes, as transformers runs them: where an evaluator took no time beyond its own of them, "
        "'the most' says how much faster than the warm peer it would be."
    )
    return Outcome("Candidates per minute, beside mergekit and lm-eval", rows, targets, note)


def _search(out: Path, documents: int, trials: int, clock: ForwardClock) -> Iterator[tuple[Row, list[Target]]]:
    """Rows of one number of documents, each with its targets."""
    config = _config(out, documents, trials)
    tasks = config.evaluators["skills"]["tasks"]
    question = Question(tasks, ROOT / "zoo/llama/tasks", documents, BATCH_SIZE, "float32")
    commands = Commands(question, out / "commands") if documents == COMMANDS else None
    beside = Beside(config.folder, Warm(question, out / "merged", clock), commands, _turns(trials))
    before = clock.seconds
    run(config, beside)
    seconds, forward = time.perf_counter() - beside.began - beside.away, clock.seconds - before - beside.away_forward
    ours = Side("search", trials, seconds / trials, forward / trials)
    warm = Side.peer("merged by mergekit, simple_evaluate, warm", beside.warm_times)
    label = f"{documents} documents a task"
    yield ours.row(documents), _agreement(label, beside)
    raced = _raced(_config(out / "raced", documents, trials, racing="on"))
    yield raced.row(documents), []
    yield warm.row(documents, ours), [_faster(label, ours, warm, 4), _faster(f"{label}, racing", raced, warm, 4)]
    if commands:
        cold = _as_a_command(_config(out / "again", documents, trials))
        peer = Side.peer("commands mergekit-yaml and lm_eval", beside.command_times)
        yield cold.row(documents), []
        yield peer.row(documents, cold), [_faster(label, cold, peer, 20)]


def _config(out: Path, documents: int, trials: int, racing: str = "off") -> Config:
    """The example's configuration, with so many documents, none of them held out; no other run knows its scores."""
    keys = yaml.safe_load((ROOT / "examples" / "llama.yaml").read_text(encoding="utf-8"))
    keys |= {"out": str(out), "samples": {"held_out": 0}, "racing": racing, "budget": {"trials": trials}}
    keys["search"] |= {"searcher": "tpe"}
    keys["evaluators"]["skills"] |= {"limit": documents, "batch_size": BATCH_SIZE}
    return Config(**keys)


def _turns(trials: int) -> list[int]:
    """Six trials (of a quick search four), spread over those that the searcher proposes."""
    count = 6 if trials > 20 else 4
    return [FIRST + (trials - 1 - FIRST) * number // (count - 1) for number in range(count)]


def _raced(config: Config) -> Side:
    """A search whose candidates race, in this process."""
    clock = Clock()
    records = run(config, clock).records
    visited = fmean(record.visited for record in records)
    seconds = (time.perf_counter() - clock.began) / len(records)
    return Side(f"search, racing: {visited:.0%} of the sample evaluations", len(records), seconds)


def _as_a_command(config: Config) -> Side:
    """A search in a fresh process."""
    source = Path(config.out).with_suffix(".yaml")
    source.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)), encoding="utf-8")
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "mergesearch", "run", str(source)], check=True, capture_output=True)
    seconds = (time.perf_counter() - started) / config.budget.trials
    return Side("search as a command, with its start-up", config.budget.trials, seconds)


def _faster(label: str, ours: Side, peer: Side, times: float) -> Target:
    most = f" (the most: {peer.seconds / ours.forward:.3g})" if ours.forward else ""
    return Target(
        f"{label}: candidates per minute over {peer.who}{most}", peer.seconds / ours.seconds, times, at_most=False
    )


def _agreement(label: str, beside: Beside) -> list[Target]:
    return [
        Target(f"{label}: of {beside.compared} scores, other than the peers'", beside.apart, 0),
        Target(f"{label}: of these, other than theirs on our weights", beside.apart_on_our_weights, 0),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")
