"""How a run ends: the shortlist is re-scored on held-out samples, compared, and judged."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import InputError, TrialError
from ..spaces.table import FloatArray
from .driver import Observer
from .folder import RunFolder, read_results, write_atomically
from .forecasts import forecasts
from .objectives import Objectives
from .record import TrialRecord
from .session import Samples, Session
from .shortlist import Shortlist, best_of, shortlist
from .verdict import CONFIDENCE, Picked, compare, sentence

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Results:
    """What is known of a run once it ended; written as JSON, read without opening any model.

    Attributes:
        trials: number of trials judged; more of them where the run has gone on since.
        weights: of the objectives' mean.
        chosen: front, winner and rivals.
        held_out: trial number -> key of its held-out scores.
        fresh: trial number -> key of its scores on fresh samples; empty where none were kept.
        verdict: one sentence.
        optimism: what the winner's search score promised beyond its held-out score, in one sentence; empty where
            nothing was held out.
        predicted: trial number -> what the searcher predicted of it, see `forecasts`; empty where it predicts nothing.
    """

    trials: int
    weights: tuple[float, ...]
    chosen: Shortlist
    held_out: Mapping[int, str]
    fresh: Mapping[int, str]
    verdict: str
    optimism: str
    predicted: Mapping[int, Sequence[float]] = field(default_factory=dict)

    def verdict_among(self, trials: int) -> str:
        """The verdict, with a note where it is not of all `trials` that the run has by now."""
        if self.trials == trials:
            return self.verdict
        note = f"(Of the first {self.trials} trials; the run has gone on to {trials} and not ended since.)"
        return f"{self.verdict} {note}"

    def write(self, folder: RunFolder) -> None:
        """Write them into the run folder."""
        content = {**vars(self), "chosen": vars(self.chosen)}
        write_atomically(folder.results, json.dumps(content, indent=1) + "\n")

    @classmethod
    def read(cls, folder: RunFolder) -> Results | None:
        """Read them from the run folder; None before the run's first end."""
        content = read_results(folder.results)
        if not content:
            return None
        chosen = content["chosen"]
        return cls(
            trials=content["trials"],
            weights=tuple(content["weights"]),
            chosen=Shortlist(**{**chosen, "front": tuple(chosen["front"]), "elite": tuple(chosen.get("elite", ()))}),
            held_out={int(number): key for number, key in content["held_out"].items()},
            fresh={int(number): key for number, key in content.get("fresh", {}).items()},
            verdict=content["verdict"],
            optimism=content["optimism"],
            predicted={int(number): values for number, values in content.get("predicted", {}).items()},
        )


def conclude(session: Session, records: Sequence[TrialRecord], observer: Observer) -> Results:
    """Re-score the shortlist on held-out samples and judge the winner; finished scores come from the cache."""
    proposals = session.proposals
    weights = proposals.weights(records)
    greedy = proposals.baselines.greedy_trial(records, proposals.mean_losses(records))
    chosen = shortlist(proposals.objectives, records, weights, greedy)
    fresh, held_out = _score_fresh(session, records, weights, observer), {}
    chosen = chosen.settled(_ranked(proposals.objectives, weights, fresh))
    if session.held_out:
        held_out = _score_held_out(session, records, chosen, observer)
        chosen = chosen.only(held_out)
    comparisons = compare(proposals.objectives, weights, chosen, held_out)
    return Results(
        trials=len(records),
        weights=tuple(weights.tolist()),
        chosen=chosen,
        held_out={number: session.bench.key(records[number].proposal, session.held_out) for number in held_out},
        fresh={number: session.bench.key(records[number].proposal, session.fresh) for number in fresh},
        verdict=sentence(chosen, comparisons),
        optimism=_optimism(session, records, chosen, weights, held_out),
        predicted=forecasts(proposals, records),
    )


def _score_held_out(
    session: Session, records: Sequence[TrialRecord], chosen: Shortlist, observer: Observer
) -> dict[int, Picked]:
    """Held-out scores of every shortlisted trial, and of all baselines, for the tables; without those that fail."""
    baselines = [r.number for r in records if r.complete and r.proposal.origin in session.proposals.baselines.names]
    return _score_again(session, records, {*chosen.all, *baselines}, session.held_out, observer)


def _score_fresh(
    session: Session, records: Sequence[TrialRecord], weights: FloatArray, observer: Observer
) -> dict[int, Picked]:
    """Scores of the elite on samples that neither the search nor the verdict sees; empty where none are kept."""
    if not session.fresh:
        return {}
    elite = best_of(session.proposals.objectives, records, weights)[: session.config.samples.elite]
    return _score_again(session, records, {record.number for record in elite}, session.fresh, observer)


def _ranked(objectives: Objectives, weights: FloatArray, scores: Mapping[int, Picked]) -> list[int]:
    """Trials by number, best weighted mean of these scores first."""
    oriented = weights * objectives.signs
    losses = {number: float(oriented @ [one.value for one in picked]) for number, picked in scores.items()}
    return sorted(losses, key=lambda number: (losses[number], number))


def _score_again(
    session: Session, records: Sequence[TrialRecord], chosen: set[int], samples: Samples, observer: Observer
) -> dict[int, Picked]:
    """Scores of these trials on other samples than the search's; without those that fail."""
    found: dict[int, Picked] = {}
    observer.held_out(0, len(chosen))
    for done, number in enumerate(sorted(chosen), start=1):
        try:
            scores = session.bench.score(records[number].proposal, samples)
            found[number] = session.proposals.objectives.pick(scores)
        except TrialError as error:
            log.warning("trial %d cannot be scored on held-out samples, and is not chosen: %s", number, error)
        observer.held_out(done, len(chosen))
    return found


def _optimism(
    session: Session,
    records: Sequence[TrialRecord],
    chosen: Shortlist,
    weights: np.ndarray,
    held_out: Mapping[int, Picked],
) -> str:
    """The winner's curse, measured: weighted mean on search samples minus the same on held-out samples."""
    if chosen.winner is None or chosen.winner not in held_out:
        return ""
    record, later = records[chosen.winner], held_out[chosen.winner]
    if record.values is None:
        raise InputError(f"trial {chosen.winner} has no values, yet it won; the journal is inconsistent")
    scale = -weights * session.proposals.objectives.signs
    gap = float(scale @ (np.array(record.values) - np.array([one.value for one in later])))
    errors = np.array([record.errors, [one.stderr for one in later]])
    error = math.hypot(*session.proposals.objectives.mean_errors(weights, errors))
    beyond = "beyond" if abs(gap) > CONFIDENCE * error else "within"
    side = "better" if gap > 0 else "worse"
    return (
        f"The winner's curse: trial {chosen.winner}'s mean is {abs(gap):.4f} {side} on search samples than on "
        f"held-out ones (± {CONFIDENCE * error:.4f}, {beyond} noise)."
    )
