"""Progress on the terminal: time left, the best so far, the size of the front."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from ..config import Config
from ..objectives import Objectives
from ..outcome.shortlist import front_of, mean_loss
from ..plan import Plan
from ..proposals import mean_weights
from ..record import TrialRecord


class TerminalProgress:
    """An observer that draws bars with rich; use it as a context manager.

    Args:
        config: for the budget.
        console: where to draw.
    """

    def __init__(self, config: Config, console: Console) -> None:
        self._total = config.budget.trials
        self._objectives: Objectives | None = None
        self._baselines: Sequence[str] = ()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(16, table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[note]}", table_column=Column()),  # which breaks where room is short
            console=console,
        )
        self._search = self._bars.add_task("search", total=self._total, note="opening models")
        self._confirm = self._bars.add_task("held-out", total=None, visible=False, note="")

    def __enter__(self) -> TerminalProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def placed(self, place: str) -> None:
        """Say where base and deltas lie, unless there are none."""
        if place:
            self._bars.console.print(place, soft_wrap=True, highlight=False, markup=False)

    def started(self, plan: Plan, records: Sequence[TrialRecord]) -> None:
        """Learn what the run measures, and where it resumes: finished trials took no time of this process."""
        self._objectives, self._baselines = plan.objectives, plan.baselines
        if plan.choice:
            self._bars.console.print(plan.choice, soft_wrap=True, highlight=False, markup=False)
        self._bars.reset(self._search, completed=len(records), total=max(self._total, len(records)))
        self.trial(records)

    def trial(self, records: Sequence[TrialRecord]) -> None:
        """Redraw after a trial."""
        self._bars.update(self._search, completed=len(records), note=self._note(records))

    def confirmed(self, done: int) -> None:
        """Say how many stopped trials were scored in full."""
        self._bars.update(self._search, note=f"confirmed {done}")

    def held_out(self, done: int, total: int) -> None:
        """Redraw while re-scoring."""
        self._bars.update(self._confirm, completed=done, total=total, visible=True)

    def _note(self, records: Sequence[TrialRecord]) -> str:
        if self._objectives is None:
            return ""
        weights = mean_weights(self._objectives, records, self._baselines)
        front = front_of(self._objectives, records, weights)
        if not front:
            return ""
        mean = self._objectives.mean_sign * mean_loss(self._objectives, weights, front[0])
        stopped = sum(record.visited < 1 for record in records)
        early = f", {stopped} stopped early" if stopped else ""
        return f"best mean {mean:.4f} (trial {front[0].number}), front {len(front)}{early}"
