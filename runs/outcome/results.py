"""How a run ends: the shortlist is re-scored on held-out samples, compared, and judged."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import TrialError
from ...evaluators.statistics.signal import Signal
from ...spaces.table import FloatArray
from ..driver import Observer
from ..folder import RunFolder, read_results, write_atomically
from ..objectives import Objectives
from ..racing.confirmed import Confirmed, with_confirmed
from ..record import TrialRecord
from ..session import Samples, Session
from .forecasts import forecasts
from .means import Picked, WeightedMean
from .optimism import Promises
from .separation import searched, signals
from .shortlist import Shortlist, best_of, shortlist
from .verdict import compare, sentence

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
        confirmed: trial number -> its scores, of trials that were stopped early and scored on at the end.
        verdict: one sentence.
        optimism: what the winner's search score promised beyond its held-out score, in a sentence or two; empty where
            nothing was held out.
        predicted: trial number -> what the searcher predicted of it, see `forecasts`; empty where it predicts nothing.
        signals: objective -> signal and noise between the fully scored candidates, see `separation.signals`.
        front_signals: the same of the front, on held-out samples.
    """

    trials: int
    weights: tuple[float, ...]
    chosen: Shortlist
    held_out: Mapping[int, str]
    fresh: Mapping[int, str]
    confirmed: Mapping[int, Confirmed]
    verdict: str
    optimism: str
    predicted: Mapping[int, Sequence[float]] = field(default_factory=dict)
    signals: Mapping[str, Signal] = field(default_factory=dict)
    front_signals: Mapping[str, Signal] = field(default_factory=dict)

    def verdict_among(self, trials: int) -> str:
        """The verdict, with a note where it is not of all `trials` that the run has by now."""
        if self.trials == trials:
            return self.verdict
        note = f"(Of the first {self.trials} trials; the run has gone on to {trials} and not ended since.)"
        return f"{self.verdict} {note}"

    def write(self, folder: RunFolder) -> None:
        """Write them into the run folder."""
        content = {**vars(self), "chosen": vars(self.chosen)}
        for name in ("signals", "front_signals", "confirmed"):
            content[name] = {key: vars(one) for key, one in content[name].items()}
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
            confirmed={int(number): Confirmed.from_plain(one) for number, one in content.get("confirmed", {}).items()},
            verdict=content["verdict"],
            optimism=content["optimism"],
            predicted={int(number): values for number, values in content.get("predicted", {}).items()},
            **{
                name: {objective: Signal(**one) for objective, one in content.get(name, {}).items()}
                for name in ("signals", "front_signals")
            },
        )


def conclude(session: Session, records: Sequence[TrialRecord], observer: Observer) -> Results:
    """Confirm finalists, re-score the shortlist on held-out samples, and judge the winner; known scores are cached."""
    proposals, foreseen = session.proposals, forecasts(session.proposals, records)
    confirmed = session.race.confirm(records, observer.confirmed)
    records = with_confirmed(records, confirmed)
    weights = proposals.weights(records)
    greedy = proposals.baselines.greedy_trial(records, proposals.mean_loss(records))
    chosen = shortlist(proposals.objectives, records, weights, greedy)
    fresh, held_out = _score_fresh(session, records, weights, observer), {}
    chosen = chosen.settled(_ranked(proposals.objectives, weights, fresh))
    if session.held_out:
        held_out = _score_held_out(session, records, chosen, observer)
        chosen = chosen.only(held_out)
    mean, seen = WeightedMean(proposals.objectives, weights), searched(session, records)
    unchosen = [record.number for record in records if record.proposal.origin in proposals.baselines.points]
    return Results(
        trials=len(records),
        weights=tuple(weights.tolist()),
        chosen=chosen,
        held_out={number: session.bench.key(records[number].proposal, session.held_out) for number in held_out},
        fresh={number: session.bench.key(records[number].proposal, session.fresh) for number in fresh},
        confirmed=confirmed,
        verdict=sentence(chosen, compare(mean, chosen, held_out)),
        optimism=Promises(mean, seen, held_out).optimism(chosen, unchosen),
        predicted=foreseen,
        signals=signals(mean, seen, _counts(session.search_samples)),
        front_signals=signals(mean, {n: held_out[n] for n in chosen.front if n in held_out}, _counts(session.held_out)),
    )


def _score_held_out(
    session: Session, records: Sequence[TrialRecord], chosen: Shortlist, observer: Observer
) -> dict[int, Picked]:
    """Held-out scores of every shortlisted trial, and of all baselines, for the tables; without those that fail."""
    baselines = [r.number for r in records if r.whole and r.proposal.origin in session.proposals.baselines.names]
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


def _counts(samples: Samples) -> dict[str, int]:
    return {task: len(rows) for task, rows in samples.items()}
