"""Identities of candidates' weights, evaluators and samples: what scores on disk are found by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from .. import __version__
from ..engine.live.bound import BoundModel
from ..engine.network.architecture import architecture_digest
from ..evaluators.evaluator import IntArray
from ..evaluators.panel import Panel
from ..spaces.groups import Groups
from ..spaces.table import CoefficientTable
from .record import Proposal
from .score_files import samples_digest, score_key


class Identities:
    """Names of what one run evaluates, hexadecimal; the same in any run of the same models and evaluators.

    Args:
        live: bound to the bank.
        panel: prepared evaluators.
    """

    def __init__(self, live: BoundModel[Any], panel: Panel) -> None:
        self._live, self._panel = live, panel
        self._tables = _Tables(live.groups)
        self._last: tuple[Proposal | None, str] = (None, "")
        self._evaluators: dict[str, str] = {}  # by task

    @cached_property
    def panel(self) -> str:
        """The evaluators and their data."""
        return self._panel.fingerprint()

    def scores(self, proposal: Proposal, samples: Mapping[str, IntArray]) -> str:
        """A candidate's scores: weights, evaluators and samples."""
        return score_key(self._weights(proposal), self.panel, samples_digest(samples))

    def evaluation(self, proposal: Proposal, task: str) -> str:
        """A candidate and the evaluator that a task belongs to, as this version of the package scores it."""
        if task not in self._evaluators:
            owner = self._panel.owner(task)
            self._evaluators |= dict.fromkeys(owner.tasks(), owner.fingerprint())
        return score_key(__version__, self._weights(proposal), self._evaluators[task])

    @cached_property
    def _model(self) -> str:
        """The bank that candidates are made of, and what computes with them."""
        return score_key(self._live.bank.fingerprint, architecture_digest(self._live.model))

    def _weights(self, proposal: Proposal) -> str:
        if self._last[0] is not proposal:
            own = self._tables.digest(proposal.table) if proposal.member is None else f"member {proposal.member}"
            self._last = proposal, score_key(self._model, own)
        return self._last[1]


class _Tables:
    """Coefficient tables by what they give each tensor, whatever the groups that the tensors were gathered into."""

    def __init__(self, groups: Groups) -> None:
        tensors = sorted(groups.of)
        self._names = "\0".join(tensors)
        self._rows = np.array([groups.of[name] for name in tensors], dtype=np.int64)

    def digest(self, table: CoefficientTable) -> str:
        """Identity of the coefficients of every tensor; -0.0 is 0.0."""
        rows = np.column_stack([table.base, table.members])[self._rows] + 0.0  # which turns -0.0 into 0.0
        return hashlib.sha256(self._names.encode() + rows.tobytes()).hexdigest()
