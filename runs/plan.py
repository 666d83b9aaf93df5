"""What a run works with, written down at its start: enough to read its journal without opening any model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .folder import RunFolder, read_results, write_atomically
from .objectives import Objectives


@dataclass(frozen=True)
class Plan:
    """Names and sizes of everything in the run.

    Attributes:
        objectives: resolved.
        members: names, in the order of a table's columns.
        groups: names, in the order of a table's rows.
        coordinates: name -> lowest and highest value of each coordinate of the space.
        baselines: names of the canonical points evaluated first.
        samples: task -> number of samples that the search sees, and that are held out.
        bank: fingerprint of the delta bank.
    """

    objectives: Objectives
    members: Sequence[str]
    groups: Sequence[str]
    coordinates: Mapping[str, Sequence[float]]
    baselines: Sequence[str]
    samples: Mapping[str, Sequence[int]]
    bank: str

    def write(self, folder: RunFolder) -> None:
        """Write it into the run folder."""
        content = {**vars(self), "objectives": self.objectives.to_plain()}
        write_atomically(folder.plan, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, folder: RunFolder) -> Plan:
        """Read it from the run folder."""
        content = read_results(folder.plan)
        return cls(**{**content, "objectives": Objectives.from_plain(content["objectives"])})
