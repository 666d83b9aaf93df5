"""Evaluates candidates: writes each into the live model, scores it, and never scores the same weights twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..engine.live import LiveModel
from ..engine.member import Member
from ..errors import InputError, TrialError
from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.panel import Panel
from .record import Proposal
from .score_files import ScoreFiles, samples_digest, score_key


@dataclass
class Workbench:
    """The live model, its evaluators, and the cache of their scores.

    Attributes:
        live: bound to the bank.
        members: for candidates that are a member as it stands on disk.
        panel: prepared evaluators.
        files: the evaluation cache.
    """

    live: LiveModel
    members: list[Member]
    panel: Panel
    files: ScoreFiles

    @cached_property
    def panel_fingerprint(self) -> str:
        """Identity of the evaluators and their data."""
        return self.panel.fingerprint()

    def key(self, proposal: Proposal, samples: Mapping[str, IntArray]) -> str:
        """Identity of a candidate's scores: weights, evaluators and samples."""
        weights = proposal.table.digest() if proposal.member is None else f"member {proposal.member}"
        bank = self.live.bank.fingerprint
        return score_key(bank, weights, self.panel_fingerprint, samples_digest(samples), self.live.groups_digest)

    def score(self, proposal: Proposal, samples: Mapping[str, IntArray]) -> Scores:
        """Scores of a candidate on `samples` (ascending indices per task), from the cache where they are known.

        This is the trial boundary: whatever goes wrong with a candidate becomes one kind of error.

        Raises:
            TrialError: the candidate could not be scored.
            InputError: the evaluators found the configuration wrong, or the scores cannot be saved.
        """
        key = self.key(proposal, samples)
        known = self.files.load(key)
        if known is not None:
            return known
        try:
            self.write(proposal)
            scores = self.panel.score(self.live.model, samples)
        except (InputError, TrialError):
            raise
        except Exception as error:
            raise TrialError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
        self.files.save(key, scores, samples)
        return scores

    def write(self, proposal: Proposal) -> None:
        """Make the live model the candidate."""
        if proposal.member is None:
            self.live.write(proposal.table)
        else:
            self.live.write_source(self.members[proposal.member].source)
