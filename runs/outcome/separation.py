"""Whether the tasks of a run can tell its candidates apart: signal and noise of each objective, and words for it."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ...evaluators.statistics.combined import combined
from ...evaluators.statistics.signal import SEPARATING, Signal, relative_noise, signal, signal_of
from ..record import Proposal, TrialRecord
from ..session import Session
from .means import Picked, WeightedMean

log = logging.getLogger(__name__)

MEAN = "weighted mean"
CRITERION = (
    f"A task separates candidates from a ratio of {SEPARATING:g}, at which two of them typically differ by the 95 % "
    "interval of their difference."
)
_FEWEST = 3  # candidates; the spread of two says next to nothing


def signals(mean: WeightedMean, scored: Mapping[int, Picked], samples: Mapping[str, int]) -> dict[str, Signal]:
    """Objective -> signal and noise; where there are several, also of their weighted mean.

    Args:
        mean: of the objectives.
        scored: trial -> scores on the same samples, none a copy of another.
        samples: task -> number of these samples.

    Returns:
        Nothing for fewer than three candidates.
    """
    if len(scored) < _FEWEST:
        return {}
    columns = zip(mean.objectives.each, zip(*scored.values(), strict=True), strict=True)
    found = {objective.name: signal(column, samples[objective.task]) for objective, column in columns}
    if len(found) > 1:
        values = np.array([mean.of(picked).value for picked in scored.values()])
        noise = math.hypot(*_noise_by_task(mean, list(scored.values())))
        found[MEAN] = signal_of(values, noise, sum(samples[task] for task in mean.objectives.tasks))
    return found


def searched(session: Session, records: Sequence[TrialRecord]) -> dict[int, Picked]:
    """Trial -> scores of the search's samples, of every candidate that was scored on all of them, once."""
    first = {record.key: record for record in reversed(records) if record.whole}
    loaded = {record.number: session.bench.files.load(key) for key, record in reversed(first.items())}
    pick = session.proposals.objectives.pick
    return {number: pick(scores) for number, scores in loaded.items() if scores is not None}


def warn_before_search(session: Session, records: Sequence[TrialRecord], proposal: Proposal) -> None:
    """Log which objectives cannot separate the baselines, where `proposal` is the searcher's first."""
    name = session.proposals.name
    if proposal.origin != name or any(record.proposal.origin == name for record in records):
        return
    samples = {task: len(rows) for task, rows in session.search_samples.items()}
    mean = WeightedMean(session.proposals.objectives, session.proposals.weights(records))
    for line in warnings(signals(mean, searched(session, records), samples), "baselines"):
        log.warning("%s", line)


def warnings(found: Mapping[str, Signal], candidates: str) -> list[str]:
    """One sentence for each objective that cannot separate the candidates, which are called so."""
    return [_warning(name, one, candidates) for name, one in found.items() if not one.separates]


def summary(found: Mapping[str, Signal]) -> str:
    """The ratios in one line; empty where nothing is known."""
    ratios = ", ".join(f"{name} {one.ratio:.1f}" for name, one in found.items())
    return f"Signal to noise between candidates ({SEPARATING:g} or more separates them): {ratios}." if found else ""


def needed(one: Signal) -> str:
    """The number of samples that would separate the candidates, in words."""
    if math.isinf(one.needed):
        return "unknown"
    return f"{'' if one.spread else 'more than '}{one.needed:,.0f}"


def _warning(name: str, one: Signal, candidates: str) -> str:
    if math.isinf(one.noise):
        return f"{name} says nothing of its noise on {one.samples} samples, and separates no {candidates}; give it more"
    return (
        f"{name} cannot separate the {one.candidates} {candidates}: they differ by {one.spread:.4f} (standard "
        f"deviation), {one.ratio:.1f} times the noise of {one.noise:.4f} on {one.samples} samples; samples that would "
        f"do: {needed(one)}"
    )


def _noise_by_task(mean: WeightedMean, candidates: Sequence[Picked]) -> Iterator[float]:
    """Noise of what each task adds to the mean."""
    factors = mean.weights * mean.objectives.signs
    for task in mean.objectives.tasks:
        rows = [row for row, objective in enumerate(mean.objectives.each) if objective.task == task]
        yield relative_noise([combined(factors[rows], [picked[row] for row in rows]) for picked in candidates])
