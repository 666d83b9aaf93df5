"""Racing in real runs: who is stopped, what is recorded of it, and that a resumed race is the same race."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from mergesearch.errors import InputError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.record import TrialRecord
from mergesearch.runs.report import remarks
from mergesearch.search.pareto import front

from .conftest import MakeConfig

# Wide bounds make many bad candidates; early looks and a generous false-stop rate stop some of them on few samples.
EAGER = {"first": 8, "false_stops": 0.4, "margin": 0.0}
WIDE = {"groups": "model", "kind": "box", "low": -2.0, "high": 2.0}


def eager(make_config: MakeConfig, **changes: Any) -> Config:
    return Config(**make_config(**{"racing": EAGER, "space": WIDE, "budget__trials": 40, **changes}))


def essence(records: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [(one.proposal, one.values, one.errors, one.visited, one.key, one.reason) for one in records]


@pytest.fixture
def raced(make_config: MakeConfig) -> Run:
    return run(eager(make_config))


def test_bad_candidates_stop_early_and_are_marked(raced: Run) -> None:
    stopped = [record for record in raced.records if record.visited < 1]
    assert len(stopped) >= 10 and all(record.proposal.origin == "random" for record in stopped)
    assert all(record.values is not None and not record.whole for record in stopped)
    assert all(min(record.errors) > 0 for record in stopped)
    assert all(record.values and 0 <= min(record.values) <= max(record.values) <= 1 for record in stopped)
    assert not {record.number for record in stopped} & set(raced.front["trial"])
    assert raced.results and not {record.number for record in stopped} & set(raced.results.chosen.all)
    assert not {record.number for record in stopped} & {raced.pick([1.0, 0.0]), raced.pick([0.0, 1.0])}


def test_no_candidate_of_the_front_was_stopped(make_config: MakeConfig) -> None:
    """On this seed, with a cautious setting; what the rate of false stops bounds in general is simulated elsewhere."""
    raced = run(eager(make_config, racing={"first": 8, "false_stops": 0.02, "margin": 0.0, "confirm": 9.0}))
    whole = run(eager(make_config, name="whole", racing="off"))
    assert [one.proposal for one in whole.records] == [one.proposal for one in raced.records], "a random search"
    losses = -np.array([one.values for one in whole.records])
    stopped = np.array([one.visited < 1 for one in raced.records])
    assert stopped.sum() >= 5 and not (front(losses) & stopped).any()
    for ours, full in zip(raced.records, whole.records, strict=True):
        if ours.whole:
            assert ours.values == full.values
        else:
            away = np.abs(np.subtract(ours.values or (), full.values or ()))
            assert (away < 5 * np.array(ours.errors)).all(), "an estimate of the full score"


def test_finalists_are_confirmed_on_all_samples(make_config: MakeConfig) -> None:
    """With a wide margin candidates stop though they are good; the best of them come back at the end."""
    racing = {**EAGER, "margin": 4.0}
    result = run(eager(make_config, racing=racing))
    assert result.results and result.results.confirmed
    journal = run(eager(make_config, name="longer", racing=racing, budget__trials=44)).records[:40]
    stopped = {record.number for record in journal if not record.whole and record.values}
    assert set(result.results.confirmed) <= stopped | {one.number for one in journal if one.whole}
    whole = run(eager(make_config, name="whole", racing="off"))
    ended = [number for number, one in result.results.confirmed.items() if one.visited == 1]
    for number in ended:
        assert result.records[number].whole and result.records[number].values == whole.records[number].values
    assert set(ended) & set(result.front["trial"])
    assert essence(Run(result.folder.path).records) == essence(result.records)


def test_a_run_that_goes_on_after_confirmations_equals_one_in_one(make_config: MakeConfig) -> None:
    racing = {**EAGER, "margin": 4.0}
    whole = run(eager(make_config, name="whole", racing=racing, budget__trials=40))
    for trials in (25, 40):
        pieces = run(eager(make_config, name="pieces", racing=racing, budget__trials=trials))
    assert essence(pieces.records) == essence(whole.records) and pieces.results == whole.results


def test_a_resumed_race_is_the_same_race(raced: Run, make_config: MakeConfig) -> None:
    for trials in (17, 29, 40):
        pieces = run(eager(make_config, name="pieces", budget__trials=trials, cache=str(raced.folder.path / "other")))
    assert essence(pieces.records) == essence(raced.records) and pieces.results == raced.results


def test_a_resumed_race_of_one_mean_is_the_same_race(make_config: MakeConfig) -> None:
    search = {"searcher": "tpe", "seed": 5, "scalarise": "mean"}
    whole = run(eager(make_config, search=search))
    assert sum(not record.whole for record in whole.records) >= 5
    for trials in (17, 29, 40):
        other = str(whole.folder.path / "other")
        pieces = run(eager(make_config, name="pieces", search=search, budget__trials=trials, cache=other))
    assert essence(pieces.records) == essence(whole.records) and pieces.results == whole.results


def test_a_stopped_trial_is_a_pruned_one_to_optuna(raced: Run) -> None:
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(raced.folder.journal)))
    (study,) = optuna.get_all_study_names(storage)
    trials = optuna.load_study(study_name=study, storage=storage).trials
    states = [TrialState.COMPLETE if record.whole else TrialState.PRUNED for record in raced.records]
    assert [trial.state for trial in trials] == states


@pytest.mark.parametrize("racing", [EAGER, {**EAGER, "margin": 4.0}])
def test_each_look_asks_for_new_samples_alone(
    racing: dict[str, Any], make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is told of the share of samples is what was scored, whether or not finalists came to their end."""
    score, asked = DataLoaderEvaluator.score, []

    def counting(self: DataLoaderEvaluator, model: Any, samples: Mapping[str, np.ndarray]) -> Any:
        asked.append(sum(map(len, samples.values())))
        return score(self, model, samples)

    monkeypatch.setattr(DataLoaderEvaluator, "score", counting)
    result = run(eager(make_config, samples={"held_out": 0.0}, racing=racing))
    total = sum(sizes[0] for sizes in result.plan.samples.values())
    objectives = {name.split("/")[0] for name in result.plan.objectives.names}
    raced = sum(sizes[0] for task, sizes in result.plan.samples.items() if task in objectives)
    spent = sum(record.visited * raced + (total - raced if record.whole else 0) for record in result.records)
    assert sum(asked) == round(spent)
    assert f"; {100 * result.trials['samples'].mean():.0f} % of the sample evaluations" in remarks.racing(result.trials)


def test_finalists_that_did_not_come_to_their_end_keep_what_was_learnt(make_config: MakeConfig) -> None:
    racing = {**EAGER, "margin": 4.0}
    result = run(eager(make_config, racing=racing))
    before = run(eager(make_config, name="before", racing={**racing, "confirm": 1.0}))
    assert result.results and before.results and not before.results.confirmed
    given_up = [number for number, one in result.results.confirmed.items() if one.visited < 1]
    assert given_up
    for number in given_up:
        now, then = result.records[number], before.records[number]
        assert not now.whole and now.visited > then.visited and now.key != then.key
        assert max(now.errors) < max(then.errors)


def test_one_objective_is_halved(make_config: MakeConfig) -> None:
    result = run(eager(make_config, objectives=["flip/accuracy"]))
    whole = [record for record in result.records if record.whole and record.proposal.origin == "random"]
    stopped = [record for record in result.records if not record.whole]
    assert len(stopped) > len(whole)
    best = max(record.values for record in result.records if record.whole and record.values)
    assert all(record.values and record.values < best for record in stopped), "what looks best is always confirmed"


def test_a_mean_of_objectives_is_halved(make_config: MakeConfig) -> None:
    search = {"searcher": "random", "seed": 5, "scalarise": "mean"}
    result = run(eager(make_config, search=search))
    assert sum(not record.whole for record in result.records) > 10


@pytest.mark.parametrize("seed", (0, 1, 3))
def test_finalists_of_one_objective_are_paired_with_those_before_them(make_config: MakeConfig, seed: int) -> None:
    """Whoever came to the end is known in full from then on, also where it was a rival that had stopped."""
    racing = {"first": 8, "keep": 0.2}
    result = run(eager(make_config, racing=racing, search={"searcher": "tpe", "seed": seed}, objectives=["flip/loss"]))
    assert result.results and any(one.visited == 1 for one in result.results.confirmed.values())
    assert len(result.results.confirmed) > 1


def test_halving_keeps_a_share(make_config: MakeConfig) -> None:
    stopped = []
    for keep in (0.2, 0.9):
        result = run(eager(make_config, name=f"{keep}", racing={**EAGER, "keep": keep}, objectives=["flip/accuracy"]))
        stopped.append(sum(record.visited < 1 for record in result.records))
    assert stopped[0] > stopped[1]


@pytest.mark.parametrize("kind", ["paired", "mean", "stratified", "item_response"])
def test_every_estimator_estimates(kind: str, make_config: MakeConfig) -> None:
    result = run(eager(make_config, racing={**EAGER, "estimator": kind}, objectives=["flip/accuracy"]))
    stopped = [record for record in result.records if not record.whole]
    assert stopped and all(record.values and 0 <= min(record.values) <= max(record.values) <= 1 for record in stopped)


def test_a_metric_without_values_per_sample_does_not_race(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    evaluators = make_config()["evaluators"]
    (name,) = evaluators
    evaluators[name] = {**evaluators[name], "metrics": ["accuracy", "f1_macro"]}
    result = run(eager(make_config, evaluators=evaluators, objectives=["flip/f1_macro", "invert/accuracy"]))
    assert all(record.whole for record in result.records)
    assert "racing is off: flip/f1_macro has no value of its own for each sample" in caplog.text


def test_screens_come_first(make_config: MakeConfig) -> None:
    evaluators = make_config()["evaluators"]
    (name,) = evaluators
    evaluators[name] = {**evaluators[name], "metrics": ["accuracy", "entropy"]}
    racing = {**EAGER, "screens": {"upright/entropy": 0.5}}
    result = run(eager(make_config, evaluators=evaluators, racing=racing))
    screened = [record for record in result.records if record.screened]
    assert screened and all(record.values is None for record in screened)
    assert "screened out: upright/entropy is" in (screened[0].reason or "")
    again = run(eager(make_config, name="again", evaluators=evaluators, racing=racing))
    assert essence(again.records) == essence(result.records)


def test_screens_do_not_need_values_per_sample_of_the_objectives(make_config: MakeConfig) -> None:
    evaluators = make_config()["evaluators"]
    (name,) = evaluators
    evaluators[name] = {**evaluators[name], "metrics": ["f1_macro", "entropy"]}
    racing = {**EAGER, "screens": {"upright/entropy": 0.5}}
    result = run(eager(make_config, evaluators=evaluators, racing=racing, objectives=["flip/f1_macro"]))
    assert {record.visited for record in result.records} == {0.0, 1.0}


@pytest.mark.parametrize(
    ("racing", "message"),
    [
        ({"estimator": "stratifed"}, "nothing called 'stratifed' in estimators; did you mean 'stratified'"),
        ({"estimator": {"kind": "mean", "rigde": 1}}, "racing.estimator 'mean' has no option 'rigde'"),
        ({"screens": {"flip/entropi": 0.5}}, "task 'flip' has no metric 'entropi'"),
        ({"false_stops": 0.7}, "racing.false_stops is 0.7"),
        ({"falsestops": 0.1}, "unknown key 'racing.falsestops'"),
    ],
)
def test_a_race_that_cannot_be_run_is_refused(racing: dict[str, Any], message: str, make_config: MakeConfig) -> None:
    with pytest.raises(InputError) as raised:
        run(eager(make_config, racing=racing))
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("baselines", "known"), [(["base"], 0), (["base", "member flip"], 1), (["base", "member*"], None), (None, None)]
)
def test_members_that_are_not_scored_are_missed(
    baselines: list[str] | None, known: int | None, make_config: MakeConfig, caplog: pytest.LogCaptureFixture
) -> None:
    """Their scores make the order of the samples."""
    result = run(eager(make_config, search={"searcher": "random", "seed": 3, "baselines": baselines}))
    assert any(not record.whole for record in result.records)
    assert (f"of which {known} of 3 are known; 'member *' among search.baselines" in caplog.text) == (known is not None)
    assert ("are known" in caplog.text) == (known is not None)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_floors_that_few_trials_keep_are_kept_by_the_winner(make_config: MakeConfig, seed: int) -> None:
    """Trials that break them do not stop others, and one that seems to be just below is scored to the end."""
    plain = {"samples": {"held_out": 0.2, "seed": seed}, "space": {"groups": "model", "kind": "box"}}
    chosen = {**plain, "search": {"searcher": "random", "seed": 100 + seed}, "budget__trials": 80, "racing": "on"}
    whole = run(Config(**make_config(**{**chosen, "name": "whole", "racing": "off"})))
    values = np.array([record.values for record in whole.records])
    objectives = [
        {"metric": name, "floor": float(floor)}
        for name, floor in zip(make_config()["objectives"], _floors(values), strict=True)
    ]
    raced = run(Config(**make_config(**{**chosen, "objectives": objectives})))
    assert raced.results and raced.results.chosen.winner is not None
    assert any(not record.whole for record in raced.records)


def _floors(values: np.ndarray) -> np.ndarray:
    """The highest pair of quantiles that one to three trials reach in both."""
    pairs = [
        np.quantile(values, [a, b], axis=0).diagonal() for a in np.linspace(1, 0, 41) for b in np.linspace(1, 0, 41)
    ]
    reached = [pair for pair in pairs if 1 <= (values >= pair).all(axis=1).sum() <= 3]
    return max(reached, key=lambda pair: float((values < pair).mean()))
