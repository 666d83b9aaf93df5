"""What a run works with, written down at its start: enough to read its journal without opening any model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import JournalError
from .folder import RunFolder, read_results, write_atomically
from .objectives import Objectives

_MEANINGS = {
    "bank": "the weights of base or members",
    "panel": "the evaluators' data or code",
    "samples": "the number of samples",
    "members": "the members",
    "groups": "the groups",
    "coordinates": "the space",
    "objectives": "the objectives",
    "baselines": "the canonical points",
}


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
        panel: fingerprint of the evaluators and their data.
        study: the run's name in its store, unlike that of any other run.
    """

    objectives: Objectives
    members: Sequence[str]
    groups: Sequence[str]
    coordinates: Mapping[str, Sequence[float]]
    baselines: Sequence[str]
    samples: Mapping[str, Sequence[int]]
    bank: str
    panel: str
    study: str

    def settled(self, folder: RunFolder) -> Plan:
        """The plan that the folder's run was started with, which this one must agree with; this one at a start.

        Raises:
            JournalError: weights, data or sizes differ from those that the run was started with; names which.
        """
        if not folder.started:
            return self
        ours, theirs = json.loads(json.dumps(self._content())), read_results(folder.plan)
        for key, what in _MEANINGS.items():
            if ours[key] != theirs.get(key):
                raise JournalError(
                    f"{what} changed since '{folder.path}' was started, so its trials no longer compare; "
                    "restore them, or start a run of another name"
                )
        return Plan.read(folder)

    def write(self, folder: RunFolder) -> None:
        """Write it into the run folder."""
        write_atomically(folder.plan, json.dumps(self._content(), indent=1) + "\n")

    @classmethod
    def read(cls, folder: RunFolder) -> Plan:
        """Read it from the run folder."""
        content = read_results(folder.plan)
        return cls(**{**content, "objectives": Objectives.from_plain(content["objectives"])})

    def _content(self) -> dict[str, object]:
        return {**vars(self), "objectives": self.objectives.to_plain()}
