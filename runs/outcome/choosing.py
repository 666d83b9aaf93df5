"""Choosing a model from a run: by weights, or by floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import InputError, nearest
from ...spaces.table import FloatArray
from ..objectives import Objectives
from ..record import TrialRecord
from .shortlist import mean_loss


def pick_trial(
    objectives: Objectives,
    records: Sequence[TrialRecord],
    weights: Sequence[float] | Mapping[str, float],
    floors: Mapping[str, float] | None = None,
) -> int:
    """Number of the best trial by weighted mean of the search scores, among those that keep all floors.

    Trials that were stopped early are not among them.

    Args:
        objectives: the run's.
        records: all finished trials.
        weights: one per objective, in order, or by name; names left out count 0.
        floors: objective -> value to keep, in its own unit, instead of the configuration's.

    Raises:
        InputError: an unknown objective, unusable weights, no scored trial, or floors that no trial keeps (names the
            nearest trial).
    """
    chosen = _weights(objectives, weights)
    limits = _known(objectives, floors) if floors is not None else None
    scored = [record for record in records if record.whole]
    if not scored:
        raise InputError("the run has no scored trial yet; run it first")
    misses = {record.number: _missed(objectives, record, limits) for record in scored}
    kept = [record for record in scored if misses[record.number] <= 0]
    if not kept:
        closest = min(scored, key=lambda record: (misses[record.number], record.number))
        pairs = zip(objectives.names, closest.values or (), strict=True)
        values = ", ".join(f"{name} {value:.4g}" for name, value in pairs)
        raise InputError(
            f"no trial keeps all floors; trial {closest.number} comes nearest with {values}; lower a floor"
        )
    return min(kept, key=lambda record: (mean_loss(objectives, chosen, record), record.number)).number


def _weights(objectives: Objectives, weights: Sequence[float] | Mapping[str, float]) -> FloatArray:
    if isinstance(weights, Mapping):
        known = _known(objectives, weights)
        weights = [known.get(name, 0.0) for name in objectives.names]
    array = np.asarray(weights, dtype=np.float64)
    if array.shape != (len(objectives.each),) or not (np.isfinite(array) & (array >= 0)).all() or not array.any():
        raise InputError(
            f"weights are {array.tolist()}; give {len(objectives.each)} finite numbers, none negative and one above 0"
        )
    normalised: FloatArray = array / array.sum()
    return normalised


def _known(objectives: Objectives, values: Mapping[str, float]) -> Mapping[str, float]:
    for name in values:
        if name not in objectives.names:
            raise InputError(f"'{name}' is no objective of this run; {nearest(name, objectives.names)}")
    return values


def _missed(objectives: Objectives, record: TrialRecord, floors: Mapping[str, float] | None) -> float:
    """Sum of what a trial misses its floors by."""
    if floors is None:
        return sum(max(violation, 0.0) for violation in record.violations)
    values = record.values or ()
    return sum(
        max(objective.sign * (value - floors[objective.name]), 0.0)
        for objective, value in zip(objectives.each, values, strict=True)
        if objective.name in floors
    )
