"""What a run works with, written down at its start: enough to read its journal without opening any model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

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
    "recommended": "the searcher that is recommended",
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
        samples: task -> number of samples that the search sees, that are held out, and, if any, that are kept fresh.
        bank: fingerprint of the delta bank.
        panel: fingerprint of the evaluators and their data.
        study: the run's name in its store, unlike that of any other run.
        recommended: with `search: auto` the searcher that was chosen at the start, its options, and the reason.
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
    recommended: Mapping[str, Any] | None = None

    @property
    def choice(self) -> str:
        """What `search: auto` chose and why, in one line; empty where the configuration names the searcher."""
        chosen = self.recommended
        return f"search: auto takes {chosen['searcher']}: {chosen['reason']}" if chosen else ""

    @property
    def sample_counts(self) -> str:
        """The number of samples of each task, in one line."""
        parts = ["search", "held-out", "fresh"][: max(map(len, self.samples.values()))]
        counts = ", ".join(f"{task} {' + '.join(map(str, sizes))}" for task, sizes in self.samples.items())
        return f"{counts} ({' + '.join(parts)})"

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
