"""Laws that every searcher keeps. A new searcher is found by its file and joins without an edit here."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import optuna
import pytest

from mergesearch.errors import InputError
from mergesearch.plugins import load_plugin, plugin_names
from mergesearch.search.history import FloatArray, Guides, History
from mergesearch.search.searcher import Searcher
from mergesearch.spaces.box import Box
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.per import Per
from mergesearch.spaces.scaled import Scaled
from mergesearch.spaces.simplex import Simplex
from mergesearch.spaces.space import Space

SEARCHERS = plugin_names("mergesearch.search", Searcher)
WITHOUT_CHANCE = {"adamerging", "ama", "greedy", "grid", "grow", "learned_soup", "uniform"}
PLANNED = {"nested_map"}  # draws its whole plan from the seed: the number of a trial changes nothing
TRIALS = 26  # more than two generations of the genetic searchers, and well past every startup
FEW_TRIALS = {"gp": 12}  # a second or more each: two modelled trials here, the rest in the slow tier


@pytest.fixture(params=SEARCHERS)
def name(request: pytest.FixtureRequest) -> str:
    """Name of a searcher, one after another."""
    return str(request.param)


@pytest.fixture
def searcher(name: str) -> type[Searcher]:
    """The searcher of that name."""
    return load_plugin(name, "mergesearch.search", Searcher)


@dataclass(frozen=True)
class Problem:
    """A smooth test problem: distances of the table to one target per objective, which are their own guides.

    Attributes:
        space: the space to search.
        objectives: number of losses.
        floors: number of floors; each asks for one coefficient's distance from the target to stay small.
        failing: numbers of the trials that fail.
        baselines: whether the canonical points of the space are the first trials.
    """

    space: Space
    objectives: int = 1
    floors: int = 0
    failing: frozenset[int] = frozenset()
    baselines: bool = False

    def start(self) -> History:
        """The history before the first proposal."""
        empty = np.empty((0, self.objectives))
        nowhere = np.empty((0, self.space.dimension))
        guides = Guides(empty, np.empty((0, self.objectives, self.space.groups, self.space.members)))
        history = History(self.space, 0, nowhere, empty, empty, np.empty((0, self.floors)), nowhere, guides)
        points = (
            [self.space.vector(table) for table in self.space.canonical_points().values()] if self.baselines else []
        )
        for x in points:
            history = history if x is None else self.after(history, x)
        return history

    def after(self, history: History, x: FloatArray) -> History:
        """The history once x is evaluated."""
        number = history.number + 1
        if history.number in self.failing:
            return replace(history, number=number, unscored=np.vstack([history.unscored, x]))
        row = self.space.table(x).members.mean(axis=0)
        targets = 0.2 + 0.5 * np.eye(max(3, self.space.members))[: self.objectives, : self.space.members]
        losses = ((row - targets) ** 2).sum(axis=1)
        slopes = np.repeat(2 * (row - targets)[:, None] / self.space.groups, self.space.groups, axis=1)
        guides = history.guides
        assert guides is not None
        return replace(
            history,
            number=number,
            x=np.vstack([history.x, x]),
            losses=np.vstack([history.losses, losses]),
            errors=np.vstack([history.errors, np.full(self.objectives, 0.01)]),
            violations=np.vstack([history.violations, row[0] - 0.4 * np.arange(1, self.floors + 1)]),
            guides=Guides(np.vstack([guides.losses, losses]), np.concatenate([guides.slopes, slopes[None]])),
        )


def frozen(history: History) -> History:
    """The history with arrays that nobody can write to."""
    for array in (history.x, history.losses, history.errors, history.violations, history.unscored):
        array.flags.writeable = False
    return history


@functools.cache
def run(name: str, problem: Problem, seed: int, trials: int = TRIALS) -> tuple[list[History], list[FloatArray]]:
    """The histories before each proposal, and the proposals: `trials` with the baselines, or less if it stops."""
    searcher = load_plugin(name, "mergesearch.search", Searcher)(seed=seed)
    histories, proposals = [frozen(problem.start())], []
    while histories[-1].number < min(trials, FEW_TRIALS.get(name, trials)):
        x = searcher.ask(histories[-1])
        if x is None:
            break
        proposals.append(x)
        histories.append(frozen(problem.after(histories[-1], x)))
    return histories, proposals


BOX = Box(3, 0.0, 1.0)
PROBLEMS = {
    "one objective": Problem(BOX),
    "two objectives": Problem(BOX, objectives=2),
    "three objectives": Problem(BOX, objectives=3),
    "floors": Problem(BOX, floors=2),
    "objectives and a floor": Problem(BOX, objectives=2, floors=1),
    "failed trials": Problem(BOX, failing=frozenset({0, 3, 4, 15})),
    "baselines": Problem(BOX, baselines=True),
    "groups": Problem(Per(Scaled(Simplex(2), 0.0, 1.5), 2)),
    "one dimension": Problem(Box(1, 0.0, 1.0)),
}


@pytest.fixture(params=PROBLEMS)
def problem(request: pytest.FixtureRequest, searcher: type[Searcher]) -> Problem:
    """A test problem that the searcher can be given."""
    chosen = PROBLEMS[request.param]
    if chosen.objectives > 1 and not searcher.multi_objective:
        pytest.skip("a searcher of one objective")
    return chosen


def test_resumed_equals_uninterrupted(name: str, searcher: type[Searcher], problem: Problem) -> None:
    """At every cut a new searcher, given the history so far, proposes the same x bit for bit; arguments stay as is."""
    histories, proposals = run(name, problem, 3)
    assert proposals or name in WITHOUT_CHANCE  # which may have nothing to add to the baselines
    for cut, x in enumerate(proposals):
        resumed = searcher(seed=3).ask(histories[cut])
        assert resumed is not None
        assert np.array_equal(resumed, x), f"trial {cut} was {x}, resumed {resumed}"


@pytest.mark.slow
@pytest.mark.parametrize("problem", PROBLEMS, indirect=True)
@pytest.mark.parametrize("name", FEW_TRIALS, indirect=True)
def test_resumed_late_equals_uninterrupted(
    name: str, searcher: type[Searcher], problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, over all trials of the searchers that take long."""
    monkeypatch.delitem(FEW_TRIALS, name)
    histories, proposals = run(name, problem, 3, TRIALS + 1)
    for cut in (14, len(proposals) - 1):
        resumed = searcher(seed=3).ask(histories[cut])
        assert resumed is not None
        assert np.array_equal(resumed, proposals[cut])


def test_proposals_are_in_bounds(name: str, problem: Problem) -> None:
    """Every x is a float64 vector exactly within the bounds."""
    low, high = problem.space.bounds.T
    for x in run(name, problem, 3)[1]:
        assert x.shape == (problem.space.dimension,)
        assert x.dtype == np.float64
        assert np.all(x >= low)
        assert np.all(x <= high)


def test_seeds_differ_where_there_is_chance(name: str) -> None:
    """Another seed is another sequence, from the first proposal on that is not a fixed start."""
    first, second = (np.array(run(name, PROBLEMS["one objective"], seed, 8)[1]) for seed in (0, 1))
    assert np.array_equal(first, second) == (name in WITHOUT_CHANCE)


def test_trial_numbers_differ_where_there_is_chance(name: str, searcher: type[Searcher]) -> None:
    """With the same history, another trial number (a failed trial came between) is another proposal."""
    if name in WITHOUT_CHANCE | PLANNED:
        pytest.skip("draws no random numbers for a trial")
    history = run(name, PROBLEMS["one objective"], 0, 8)[0][-1]
    first, second = searcher(seed=0).ask(history), searcher(seed=0).ask(replace(history, number=history.number + 1))
    assert first is not None
    assert second is not None
    assert not np.array_equal(first, second)


def test_nothing_is_proposed_twice_in_vain(name: str, searcher: type[Searcher]) -> None:
    """A searcher without chance skips trials that failed, and comes to an end."""
    if name not in WITHOUT_CHANCE | PLANNED:
        pytest.skip("may come back to a point by chance")
    problem = Problem(Box(2, 0.0, 1.0), failing=frozenset({0, 1}))
    proposals = run(name, problem, 0, 50)[1]
    assert len(proposals) < 50
    assert len(np.unique(proposals, axis=0)) == len(proposals)


def test_global_state_is_left_alone(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    """No draw from NumPy's global generator, no change of Optuna's verbosity, not a word printed."""
    optuna.logging.set_verbosity(optuna.logging.DEBUG)
    before = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002  # the global one on purpose
    run.__wrapped__(name, PROBLEMS["one objective"], 0, 12)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]  # noqa: NPY002
    assert optuna.logging.get_verbosity() == optuna.logging.DEBUG
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    assert capfd.readouterr() == ("", "")


def test_space_without_dimensions(searcher: type[Searcher]) -> None:
    """A space of one table has one x, the empty one."""
    x = searcher(seed=0).ask(Problem(Simplex(1)).start())
    assert x is not None
    assert x.shape == (0,)


def test_negative_seed(searcher: type[Searcher]) -> None:
    """A seed that no generator takes is refused at once."""
    with pytest.raises(InputError, match="seed is -1; give zero or a positive whole number"):
        searcher(seed=-1)


def test_several_objectives_are_refused_or_taken(searcher: type[Searcher]) -> None:
    """`multi_objective` says the truth."""
    history = PROBLEMS["two objectives"].start()
    if searcher.multi_objective:
        assert searcher(seed=0).ask(history) is not None
    else:
        with pytest.raises(InputError, match=f"{searcher.__name__} minimises one objective, not 2; take nsga2"):
            searcher(seed=0).ask(history)


def objective(trial: optuna.Trial) -> float:
    """A plain objective: two numeric parameters, and three kinds that searchers do not model."""
    x, y = trial.suggest_float("x", 0.0, 1.0), trial.suggest_float("y", 0.0, 1.0)
    trial.suggest_categorical("kind", ["a", "b"])
    trial.suggest_float("rate", 1e-4, 1.0, log=True)
    trial.suggest_float("single", 0.5, 0.5)
    return (x - 0.5) ** 2 + (y - 0.7) ** 2


@pytest.fixture
def plain(searcher: type[Searcher]) -> type[Searcher]:
    """A searcher that a plain study can use: it has no gradients."""
    if searcher(seed=0).gradients == "needed":
        pytest.skip("needs gradients")
    return searcher


def test_gradients_are_refused_or_missed(searcher: type[Searcher]) -> None:
    """`gradients` says the truth: a searcher that needs them says so, and every other one does without."""
    history = replace(PROBLEMS["one objective"].start(), guides=None)
    if searcher(seed=0).gradients == "needed":
        with pytest.raises(InputError, match=f"{searcher.__name__} follows coefficient gradients, and there are none"):
            searcher(seed=0).ask(history)
    else:
        assert searcher(seed=0).ask(history) is not None


def plain_study(searcher: type[Searcher], seed: int = 0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=searcher(seed=seed))


def test_plain_study(plain: type[Searcher]) -> None:
    """The searcher runs in anyone's study: the same one for the same seed, also in two goes."""
    whole, halves = plain_study(plain), plain_study(plain)
    whole.optimize(objective, n_trials=13)
    halves.optimize(objective, n_trials=7)
    halves.sampler = plain(seed=0)
    halves.optimize(objective, n_trials=len(whole.trials) - len(halves.trials))
    assert [trial.params for trial in whole.trials] == [trial.params for trial in halves.trials]
    assert all(trial.state == optuna.trial.TrialState.COMPLETE for trial in whole.trials)


def test_plain_study_of_whole_numbers_to_maximise(plain: type[Searcher]) -> None:
    """Integers stay integers and steps are kept; directions are turned."""
    study = optuna.create_study(direction="maximize", sampler=plain(seed=0))
    study.optimize(
        lambda trial: trial.suggest_int("n", 0, 3) + trial.suggest_float("s", 0.0, 1.0, step=0.5), n_trials=8
    )
    assert all(isinstance(trial.params["n"], int) for trial in study.trials)
    assert {trial.params["s"] for trial in study.trials} <= {0.0, 0.5, 1.0}


def test_plain_study_with_failures_and_constraints(plain: type[Searcher]) -> None:
    """Failed trials do not stop the study, and constraints reach the searcher."""

    def constrained(trial: optuna.Trial) -> float:
        loss = objective(trial)
        if trial.number == 2:
            return float("nan")  # which Optuna records as a failure
        trial.set_constraint("x", trial.params["x"] - 0.5)
        return loss

    study = plain_study(plain)
    study.optimize(constrained, n_trials=12)
    assert sum(trial.state == optuna.trial.TrialState.FAIL for trial in study.trials) <= 1


def test_plain_study_of_two_objectives(plain: type[Searcher]) -> None:
    """Several directions are searched, or refused in so many words."""
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=plain(seed=0))
    if plain.multi_objective:
        study.optimize(lambda trial: (objective(trial), trial.params["x"]), n_trials=12)
        assert study.best_trials
    else:
        with pytest.raises(InputError, match="minimises one objective"):
            study.optimize(lambda trial: (objective(trial), trial.params["x"]), n_trials=3)


def test_lists_name_only_searchers_that_exist() -> None:
    """A renamed searcher must not silently lose its exception."""
    assert set(SEARCHERS) >= WITHOUT_CHANCE | PLANNED
    assert {"uniform", "grid", "random", "sobol", "greedy", "tpe", "gp", "nsga2", "nsga3", "cmaes"} <= set(SEARCHERS)


def median_loss(name: str, seeds: int) -> float:
    """The lowest loss of 40 trials on a smooth quadratic, the median over seeds."""
    problem = Problem(Box(4, 0.0, 1.0))
    return float(np.median([run(name, problem, seed, 40)[0][-1].losses.min() for seed in range(seeds)]))


@pytest.mark.parametrize("name", ["tpe", "cmaes", "nsga2", pytest.param("gp", marks=pytest.mark.slow)])
def test_learning_beats_chance(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A searcher that learns from its trials ends below random search."""
    monkeypatch.delitem(FEW_TRIALS, name, raising=False)
    assert median_loss(name, 3 if name == "gp" else 15) < 0.8 * median_loss("random", 15)


def test_soups_of_a_space_without_soups() -> None:
    """What needs soups says so where the space has none."""
    space = Box(2, 0.6, 0.9)
    assert space.vector(soup({0, 1}, 1, 2)) is None
    for name, text in (("greedy", r"the soup of members \[0\]"), ("uniform", "the uniform soup of its 2 members")):
        with pytest.raises(InputError, match=f"does not contain {text}.*widen its bounds"):
            load_plugin(name, "mergesearch.search", Searcher)(seed=0).ask(Problem(space).start())
