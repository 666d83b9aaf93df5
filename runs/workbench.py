"""Evaluates candidates: writes each into the live model, scores it, and never scores the same weights twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np

from ..engine.bank.member import Member
from ..engine.live.bound import BoundModel
from ..errors import InputError, TrialError
from ..evaluators.evaluator import Scores
from ..evaluators.panel import Panel
from ..spaces.table import CoefficientTable, FloatArray
from .evaluation_cache import EvaluationCache
from .evaluation_file import Samples
from .guides import Guidance, Guide
from .identity import Identities
from .record import Proposal
from .score_files import ScoreFiles

T = TypeVar("T")
Metrics = Mapping[str, Sequence[str]]


@dataclass
class Workbench:
    """The live model, its evaluators, and the cache of their scores.

    Attributes:
        live: bound to the bank.
        members: for candidates that are a member as it stands on disk.
        panel: prepared evaluators.
        files: scores of the run's trials.
        cache: evaluations of this run and others.
    """

    live: BoundModel[Any]
    members: list[Member]
    panel: Panel
    files: ScoreFiles
    cache: EvaluationCache
    _observed: bool = False
    _written: Proposal | None = None

    @cached_property
    def identities(self) -> Identities:
        """What scores are found by."""
        return Identities(self.live, self.panel)

    def key(self, proposal: Proposal, samples: Samples) -> str:
        """Identity of a candidate's scores: weights, evaluators and samples."""
        return self.identities.scores(proposal, samples)

    def score(self, proposal: Proposal, samples: Samples, metrics: Metrics | None = None) -> Scores:
        """Scores of a candidate on `samples` (ascending indices per task), kept in the run's files.

        Raises:
            TrialError: the candidate could not be scored.
            InputError: the scores cannot be saved.
        """
        key = self.key(proposal, samples)
        known = self.files.load(key)
        if known is not None:
            return known
        scores = self.evaluate(proposal, samples, metrics)
        self.files.save(key, scores, samples)
        return scores

    def evaluate(self, proposal: Proposal, samples: Samples, metrics: Metrics | None = None) -> Scores:
        """Scores of a candidate on `samples`; only what the cache does not know of them is evaluated.

        This is the trial boundary: whatever goes wrong with a candidate becomes one kind of error.

        Args:
            proposal: the candidate.
            samples: ascending indices per task.
            metrics: task -> metrics that are wanted; all that there are where left out. Others may be among the scores.

        Raises:
            TrialError: the candidate could not be scored.
            InputError: the scores cannot be saved.
        """
        wanted = metrics or self.panel.metrics()
        keys = {task: self.identities.evaluation(proposal, task) for task in samples}
        known = {key: self.cache.known(key) for key in dict.fromkeys(keys.values())}
        missing = {task: known[keys[task]].missing(task, rows, wanted[task]) for task, rows in samples.items()}
        missing = {task: rows for task, rows in missing.items() if len(rows)}
        if missing:
            scores = _guarded(partial(self._scored, proposal, missing))
            for key in dict.fromkeys(keys[task] for task in missing):
                part = {task: rows for task, rows in missing.items() if keys[task] == key}
                known[key] = self.cache.add(key, {task: scores[task] for task in part}, part)
        return {task: known[keys[task]].scores(task, rows) for task, rows in samples.items()}

    def guide(self, proposal: Proposal, guides: Sequence[Guide | None], samples: Samples) -> Guidance | None:
        """Differentiable losses of a candidate, and their slopes in its table; None for a member off its table.

        Guides that several objectives share are differentiated once.

        Raises:
            TrialError: a loss could not be differentiated.
        """
        if proposal.member is not None:
            return None
        self._show(proposal)
        known = dict.fromkeys(guide for guide in guides if guide is not None)
        found = {guide: _guarded(partial(self._slopes, guide, samples)) for guide in known}
        unknown = np.nan, np.full_like(proposal.table.members, np.nan)
        each = [unknown if guide is None else found[guide] for guide in guides]
        return Guidance(np.array([loss for loss, _ in each]), np.stack([slopes for _, slopes in each]))

    def _scored(self, proposal: Proposal, samples: Samples) -> Scores:
        self._show(proposal)
        return self.panel.score(self.live.model, samples)

    def _show(self, proposal: Proposal) -> None:
        """Make the live model the candidate, for evaluators that know all that they compare it with."""
        if not self._observed:
            for reference in self.panel.references():
                self.write(self._reference(reference))
                self.panel.observe(reference, self.live.model)
            self._observed = True
        self.write(proposal)

    def _reference(self, name: str) -> Proposal:
        """The base or a member, by name, as a candidate."""
        groups, members = len(self.live.groups.names), len(self.members)
        table = CoefficientTable(np.zeros((groups, members)), np.ones(groups))
        names = [member.name for member in self.members]
        return Proposal(table, name, member=None if name == "base" else names.index(name))

    def _slopes(self, guide: Guide, samples: Samples) -> tuple[float, FloatArray]:
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
        """Make the live model the candidate, unless it was the last one written, as at the next look at it."""
        if proposal is self._written:
            return
        self._written = None
        if proposal.member is None:
            self.live.write(proposal.table)
        else:
            self.live.write_source(self.members[proposal.member].source)
        self._written = proposal


def _guarded(work: Callable[[], T]) -> T:
    """Do some work on a candidate; whatever goes wrong becomes a failed trial.

    So does what an evaluator calls a wrong input: it may hold for this candidate alone. Where it holds for all, the
    driver stops after the first ones.
    """
    try:
        return work()
    except TrialError:
        raise
    except InputError as error:
        raise TrialError(str(error)) from error
    except (Exception, SystemExit) as error:  # a user's function may call sys.exit
        raise TrialError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
