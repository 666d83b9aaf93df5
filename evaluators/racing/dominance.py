"""Racing against a front: who dominates all that a candidate may still turn out to be."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..estimators.estimator import Estimate
from .strata import FloatArray


def dominated_by(
    estimates: Sequence[Estimate], front: FloatArray, critical: float, margins: FloatArray | None = None
) -> int | None:
    """The incumbent that dominates even the optimistic corner of a candidate: its losses' lower bounds.

    Args:
        estimates: of the candidate's losses on all samples, smaller is better, one per objective.
        front: the incumbents' losses on all samples, float64, `incumbents x objectives`; may be empty.
        critical: standard errors between an estimate and its lower bound; see `looks.critical_value`.
        margins: by how much the corner may be better and still is not worth its samples, float64, `objectives`;
            zeros where left out.

    Returns:
        Row of the incumbent with the most to spare in its weakest objective; None where nobody dominates the corner.
    """
    corner = np.array([one.value - critical * one.error for one in estimates])
    corner = corner if margins is None else corner + margins
    spare = corner - front
    dominating = np.flatnonzero((spare >= 0).all(axis=1) & (spare > 0).any(axis=1))
    return int(dominating[np.argmax(spare[dominating].min(axis=1))]) if len(dominating) else None
