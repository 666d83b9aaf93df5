"""Trial records with awkward numbers, for the stores to give back."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from mergesearch.runs.record import Proposal, TrialRecord
from mergesearch.spaces.table import CoefficientTable

COORDINATES = {"a": (0.0, 1.5), "b": (-0.5, 1.5)}


def record(number: int, **changes: object) -> TrialRecord:
    """A completed trial."""
    x = np.array([0.1 + 0.2, -1 / 3]) * (1 + number * 1e-16)
    keys: dict[str, object] = {
        "number": number,
        "proposal": Proposal(CoefficientTable.of(x[None]), "random", x),
        "values": (1 / 3, 2.0),
        "errors": (0.1, 0.0),
        "violations": (-0.2,),
        "key": f"{number:032x}",
        "reason": None,
        "started": datetime(2026, 1, 2, 3, 4, 5, 678),
        "seconds": 1.25,
    }
    return TrialRecord(**{**keys, **changes})  # type: ignore[arg-type]


def failed(number: int) -> TrialRecord:
    """A failed trial outside of the space."""
    table = CoefficientTable(np.array([[np.pi, 0.0]]), np.array([0.5]))
    proposal = Proposal(table, "base", None, member=1)
    return record(number, proposal=proposal, values=None, errors=(), violations=(), key="", reason="OOM: no memory")
