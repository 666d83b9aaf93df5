"""Evaluates candidates: writes each into the live model, scores it, and never scores the same weights twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from ..engine.bound import BoundModel
from ..engine.member import Member
from ..errors import InputError, TrialError
from ..evaluators.evaluator import IntArray, Scores
from ..evaluators.panel import Panel
from ..spaces.table import FloatArray
from .guides import Guidance, Guide
from .record import Proposal
from .score_files import ScoreFiles, samples_digest, score_key

T = TypeVar("T")


@dataclass
class Workbench:
    """The live model, its evaluators, and the cache of their scores.

    Attributes:
        live: bound to the bank.
        members: for candidates that are a member as it stands on disk.
        panel: prepared evaluators.
        files: the evaluation cache.
    """

    live: BoundModel[Any]
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
        scores = _guarded(partial(self._scored, proposal, samples))
        self.files.save(key, scores, samples)
        return scores

    def guide(
        self, proposal: Proposal, guides: Sequence[Guide | None], samples: Mapping[str, IntArray]
    ) -> Guidance | None:
        """Differentiable losses of a candidate, and their slopes in its table; None for a member off its table.

        Guides that several objectives share are differentiated once.

        Raises:
            TrialError: a loss could not be differentiated.
            InputError: the evaluators found the configuration wrong.
        """
        if proposal.member is not None:
            return None
        self.write(proposal)
        known = dict.fromkeys(guide for guide in guides if guide is not None)
        found = {guide: _guarded(partial(self._slopes, guide, samples)) for guide in known}
        unknown = np.nan, np.full_like(proposal.table.members, np.nan)
        each = [unknown if guide is None else found[guide] for guide in guides]
        return Guidance(np.array([loss for loss, _ in each]), np.stack([slopes for _, slopes in each]))

    def _scored(self, proposal: Proposal, samples: Mapping[str, IntArray]) -> Scores:
        self.write(proposal)
        return self.panel.score(self.live.model, samples)

    def _slopes(self, guide: Guide, samples: Mapping[str, IntArray]) -> tuple[float, FloatArray]:
        """One loss and its slopes, rounded to fp32 as the journal keeps them."""
        task, metric = guide
        with self.live.pullback() as gradient:
            scores = self.panel.backward(self.live.model, task, metric, samples[task])
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused in the next line
            slopes = gradient.members.astype(np.float32).astype(np.float64)
        if not np.isfinite(slopes).all():
            raise TrialError(f"the gradient of {task}/{metric} is not finite")
        return scores.value, slopes

    def write(self, proposal: Proposal) -> None:
        """Make the live model the candidate."""
        if proposal.member is None:
            self.live.write(proposal.table)
        else:
            self.live.write_source(self.members[proposal.member].source)


def _guarded(work: Callable[[], T]) -> T:
    """Do some work on a candidate; what is no error of ours becomes a failed trial."""
    try:
        return work()
    except (InputError, TrialError):
        raise
    except Exception as error:
        raise TrialError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
