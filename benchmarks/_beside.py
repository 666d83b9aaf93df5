"""An observer of a search that lets its peers evaluate some of the same candidates, while the clock stands still."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from _peers import Commands, Correct, Evaluated, Warm

from mergesearch import Run
from mergesearch.runs.driver import Silent
from mergesearch.runs.record import TrialRecord
from mergesearch.runs.score_files import ScoreFiles


class Clock(Silent):
    """Notes when the first trial of a search begins."""

    began = 0.0

    def started(self, plan: Any, records: Sequence[TrialRecord]) -> None:
        """Note it."""
        self.began = time.perf_counter()


@dataclass
class Beside(Clock):
    """Lets the peers evaluate some of a search's candidates, and keeps the time that this takes.

    Attributes:
        run: the search's folder.
        warm: asked at every turn; the first time is not counted.
        commands: asked at every other turn, if at all.
        turns: numbers of trials after which the peers are asked.
        away, away_forward: seconds that the peers took, and those of their forward passes.
        warm_times, command_times: what they took for each candidate.
        compared: number of documents' scores that were compared.
        apart: how many of them are not the peers'.
        apart_on_our_weights: how many are not theirs on our exported weights.
    """

    run: Path
    warm: Warm
    commands: Commands | None
    turns: Sequence[int]
    away: float = 0.0
    away_forward: float = 0.0
    warm_times: list[Evaluated] = field(default_factory=list)
    command_times: list[Evaluated] = field(default_factory=list)
    compared: int = 0
    apart: int = 0
    apart_on_our_weights: int = 0

    def trial(self, records: Sequence[TrialRecord]) -> None:
        """Ask the peers, where it is their turn."""
        if records[-1].number in self.turns:
            paused, forward = time.perf_counter(), self.warm.clock.seconds
            self._turn(records[-1])
            self.away += time.perf_counter() - paused
            self.away_forward += self.warm.clock.seconds - forward

    def _turn(self, record: TrialRecord) -> None:
        with tempfile.TemporaryDirectory() as folder:
            exported = Run(self.run).export(Path(folder) / "ours", record.number)
            recipe = yaml.safe_load((exported / "mergekit.yaml").read_text(encoding="utf-8"))
            found = [self.warm.evaluate(recipe)]
            if record.number != self.turns[0]:
                self.warm_times += found
            if self.commands and self.turns.index(record.number) % 2:
                found.append(self.commands.evaluate(recipe))
                self.command_times.append(found[-1])
            self._compare(record, self.warm.correct(), self.warm.correct(exported), found)

    def _compare(self, record: TrialRecord, theirs: Correct, on_our_weights: Correct, found: list[Evaluated]) -> None:
        scores = ScoreFiles(self.run / "scores").load(record.key)
        assert scores
        for task in self.warm.question.tasks:
            samples = scores[task]["exact_match"].samples
            assert samples is not None
            self.compared += len(samples)
            self.apart += int((samples != theirs[task]).sum())
            self.apart_on_our_weights += int((samples != on_our_weights[task]).sum())
            assert all(abs(one.scores[task] - fmean(theirs[task])) < 1e-9 for one in found)
