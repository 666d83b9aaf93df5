"""Optuna's samplers behind the contract: a kept study changes nothing, and generations are counted as Optuna does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import optuna
import pytest

from mergesearch.errors import InputError
from mergesearch.search._replay import Replayed, quiet
from mergesearch.search.history import History
from mergesearch.search.nsga2 import Nsga2
from mergesearch.search.nsga3 import Nsga3
from mergesearch.search.tpe import Tpe
from mergesearch.spaces.box import Box


def history_of(trials: int, objectives: int = 2, floors: int = 1, seed: int = 0) -> History:
    rng = np.random.default_rng(seed)
    losses = rng.normal(size=(trials, objectives))
    violations = rng.normal(size=(trials, floors))
    return History(Box(3), trials, rng.uniform(size=(trials, 3)), losses, 0 * losses, violations)


def part(history: History, trials: int) -> History:
    arrays = {name: getattr(history, name)[:trials] for name in ("x", "losses", "errors", "violations")}
    return replace(history, number=trials, **arrays)


@pytest.mark.parametrize("searcher", [Tpe, Nsga2, Nsga3])
def test_a_kept_study_changes_nothing(searcher: type[Replayed]) -> None:
    """One object that sees growing, shrinking and other histories proposes what new objects propose."""
    kept = searcher(seed=1)
    one, other = history_of(40), history_of(40, seed=9)
    for trials in (0, 1, 12, 13, 30, 40, 12, 25):
        for history in (part(one, trials), part(other, trials), part(one, trials)):
            fresh = searcher(seed=1).ask(history)
            again = kept.ask(history)
            assert fresh is not None
            assert again is not None
            assert np.array_equal(fresh, again)


def test_a_kept_study_notices_another_number_of_objectives() -> None:
    kept = Tpe(seed=1)
    for objectives in (1, 2, 3):
        assert kept.ask(history_of(0, objectives)) is not None
        assert kept.ask(history_of(15, objectives)) is not None


@pytest.mark.parametrize("searcher", [Nsga2, Nsga3])
@pytest.mark.parametrize("trials", [0, 11, 12, 23, 24, 40])
def test_generations_are_counted_as_optuna_does(searcher: type[Nsga2], trials: int) -> None:
    """The key that `marks` writes is the one that Optuna reads; otherwise no trial would ever be a parent."""
    kept = searcher(seed=0, population=12)
    kept.ask(history_of(trials))
    assert kept._study is not None
    sampler = kept._study.sampler
    assert isinstance(sampler, optuna.samplers.BaseGASampler)
    asked = kept._study.trials[-1]
    assert sampler.get_trial_generation(kept._study, asked) == trials // 12
    assert len(sampler.get_parent_population(kept._study, trials // 12)) == (12 if trials >= 12 else 0)


def test_pending_trials_are_kept_away_from() -> None:
    """What failed or is being evaluated elsewhere repels TPE, which would otherwise propose its neighbourhood again."""
    history = history_of(20, objectives=1, floors=0)
    first = Tpe(seed=0).ask(history)
    assert first is not None
    second = Tpe(seed=0).ask(replace(history, unscored=np.tile(first, (5, 1))))
    assert second is not None
    assert not np.array_equal(first, second)


def test_population_of_one() -> None:
    with pytest.raises(InputError, match="population is 1; give at least 2"):
        Nsga2(population=1)


def test_quiet_restores_the_verbosity() -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    with pytest.raises(KeyError), quiet():
        raise KeyError
    assert optuna.logging.get_verbosity() == optuna.logging.INFO
    optuna.logging.set_verbosity(optuna.logging.WARNING)
