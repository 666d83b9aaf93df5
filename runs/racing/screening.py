"""Screens: cheap metrics that a candidate must pass before anything else of it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...evaluators.evaluator import IntArray
from ...evaluators.panel import find_metric
from ...evaluators.racing.halving import falls_behind
from ..record import Proposal, TrialRecord
from ..workbench import Workbench


class Screens:
    """Metrics by which candidates are halved first, each among all that came so far.

    Args:
        shares: `task/metric` -> share of the candidates that pass.
        bench: evaluates.
        samples: what the search sees, ascending indices per task.

    Raises:
        InputError: there is no such metric.
    """

    def __init__(self, shares: Mapping[str, float], bench: Workbench, samples: Mapping[str, IntArray]) -> None:
        self._bench, self._samples, self._shares = bench, samples, dict(shares)
        metrics = bench.panel.metrics()
        self._metrics = {reference: find_metric(metrics, reference) for reference in shares}
        self._signs = {name: -1.0 if metrics[task][metric] else 1.0 for name, (task, metric) in self._metrics.items()}
        self._known: dict[tuple[str, int], float] = {}

    def behind(self, proposal: Proposal, records: Sequence[TrialRecord]) -> str | None:
        """Why the candidate does not pass, in a few words; None where it does.

        Raises:
            TrialError: it could not be scored.
        """
        for name, keep in self._shares.items():
            value = self._loss(name, proposal)
            rivals = np.array([self._recorded(name, record) for record in records if record.key or record.screened])
            if falls_behind(value, rivals, keep):
                return f"screened out: {name} is {abs(value):.4g}, not among the best {keep:.0%} so far"
        return None

    def _recorded(self, name: str, record: TrialRecord) -> float:
        """Loss of a finished trial, which was screened itself or is a baseline."""
        if (name, record.number) not in self._known:
            self._known[name, record.number] = self._loss(name, record.proposal)
        return self._known[name, record.number]

    def _loss(self, name: str, proposal: Proposal) -> float:
        task, metric = self._metrics[name]
        scores = self._bench.evaluate(proposal, {task: self._samples[task]}, {task: [metric]})
        return self._signs[name] * scores[task][metric].value
