"""The rules of a race, by hand, on candidates whose scores are known from the start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.runs.racing.against_front import AgainstFront, front_of, losses_of
from mergesearch.runs.racing.among_rivals import AmongRivals
from mergesearch.runs.racing.confirmation import Confirmation
from mergesearch.runs.racing.confirmed import Confirmed
from mergesearch.runs.racing.screening import Screens
from mergesearch.runs.racing.track import nearest
from mergesearch.runs.record import TrialRecord

from .known_scores import bench, proposed, track, trial

LOOKS = {"a": (4, 8, 16)}
LOSS = np.array([[-1.0]])
TWO_LOSSES = np.diag([-1.0, -1.0])


def test_a_task_with_fewer_looks_waits_at_its_first_one() -> None:
    both = track({"a": np.zeros((1, 16)), "b": np.zeros((1, 10))}, {**LOOKS, "b": (5, 10)})
    seen = [[len(rows) for rows in both.samples(left).values()] for left in (2, 1, 0)]
    assert seen == [[4, 5], [8, 5], [16, 10]]
    assert [both.share(left) for left in (2, 1, 0)] == [9 / 26, 13 / 26, 1.0]


def test_a_trial_reached_the_look_that_it_stopped_at_and_none_behind_it() -> None:
    lap = track({"a": np.zeros((1, 16))}, LOOKS)
    first, second, whole = (trial(0, [0.0], visited) for visited in (0.25, 0.5, 1.0))
    assert [lap.left(one) for one in (first, second, whole)] == [2, 1, 0]
    assert [[lap.reached(one, left) for left in (2, 1, 0)] for one in (first, second, whole)] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert not lap.reached(replace(whole, values=None), 2), "a failed trial came nowhere"


@pytest.mark.parametrize(("missed", "stops"), [(0.0, True), (0.1, False)])
def test_only_rivals_that_keep_the_floors_are_ahead(missed: float, stops: bool) -> None:
    table = np.ones((5, 16))
    table[4, ::2] = 0.0
    rivals = [trial(row, [1.0], missed=missed) for row in range(4)]
    rule = AmongRivals(track({"a": table}, LOOKS), LOSS, 0.5, rivals, proposed(4))
    assert rule.stops(rule.track.scores(proposed(4), 2), 2) is stops


def test_rivals_are_those_that_came_as_far() -> None:
    """Four of them are needed, and the third of five stops."""
    table = np.ones((5, 16))
    table[4, ::2] = 0.0
    rivals = [*(trial(row, [1.0]) for row in range(3)), trial(3, [1.0], 0.25)]
    rule = AmongRivals(track({"a": table}, LOOKS), LOSS, 0.5, rivals, proposed(4))
    assert [rule.stops(rule.track.scores(proposed(4), left), left) for left in (2, 1)] == [True, False]


@pytest.mark.parametrize(("keep", "stops"), [(0.2, True), (0.5, False)])
def test_the_second_of_five_is_not_among_the_best_fifth(keep: float, stops: bool) -> None:
    table = np.zeros((5, 16))
    table[0], table[4, ::2] = 1.0, 1.0
    rivals = [trial(row, [table[row, 0]]) for row in range(4)]
    rule = AmongRivals(track({"a": table}, LOOKS), LOSS, keep, rivals, proposed(4))
    assert rule.stops(rule.track.scores(proposed(4), 2), 2) is stops


@pytest.mark.parametrize(("missed", "stops"), [(0.0, True), (0.1, False)])
def test_only_a_front_that_keeps_the_floors_stops_a_candidate(missed: float, stops: bool) -> None:
    table = np.ones((2, 64))
    table[1] = 0.0
    lap = track({"a": table, "b": table}, {"a": (32, 64), "b": (32, 64)})
    records = [trial(0, [1.0, 1.0], missed=missed)]
    rule = AgainstFront(lap, TWO_LOSSES, 0.2, 0.0, records, proposed(1))
    assert rule.stops(lap.scores(proposed(1), 1), 1) is stops
    assert not replace(rule, records=[]).stops(lap.scores(proposed(1), 1), 1), "there is no front yet"


@pytest.mark.parametrize(("margin", "stops"), [(0.0, False), (0.5, True)])
def test_a_gain_within_the_margin_is_not_worth_the_samples(margin: float, stops: bool) -> None:
    """Who is as good as the front is not dominated, but may gain nothing either."""
    lap = track({"a": np.ones((2, 64)), "b": np.ones((2, 64))}, {"a": (32, 64), "b": (32, 64)})
    rule = AgainstFront(lap, TWO_LOSSES, 0.2, margin, [trial(0, [1.0, 1.0])], proposed(1))
    assert rule.stops(lap.scores(proposed(1), 1), 1) is stops


def test_losses_of_estimates_by_hand() -> None:
    (mean,) = losses_of(np.array([[-0.5, -0.5]]), [Estimate(0.5, 0.3), Estimate(0.25, 0.4)])
    assert (mean.value, mean.error) == pytest.approx((-0.375, 0.25))


def test_a_candidate_is_paired_with_those_of_the_nearest_coefficients() -> None:
    """Of forty with the 32 nearest, in the order of the trials; here every score is the coefficient itself."""
    table = np.repeat(np.arange(41.0)[:, None], 16, axis=1)
    lap, records = track({"a": table}, LOOKS), [trial(row, [float(row)]) for row in range(40)]
    assert [one[0][0] for one in nearest(lap, proposed(40), records)] == list(range(8, 40))
    assert [one[0][0] for one in nearest(lap, proposed(0), records)] == list(range(32))


def test_the_front_is_of_trials_that_keep_the_floors() -> None:
    better, worse, beyond = trial(0, [0.5, 0.5]), trial(1, [0.5, 0.4]), trial(2, [0.9, 0.9], missed=0.1)
    assert front_of([better, worse, beyond], TWO_LOSSES).tolist() == [[-0.5, -0.5]]
    assert front_of([beyond], TWO_LOSSES).shape == (0, 2)


def test_a_screen_lets_its_own_share_pass() -> None:
    """The second best of five is among the best half, and not among the best fifth."""
    table = np.repeat([[0.1], [0.2], [0.3], [0.5], [0.4]], 16, axis=1)
    records = [trial(row, [table[row, 0]]) for row in range(4)]
    samples = {"a": np.arange(16)}
    narrow, wide = (Screens({"a/acc": share}, bench({"a": table}), samples) for share in (0.2, 0.5))
    assert narrow.behind(proposed(4), records) == "screened out: a/acc is 0.4, not among the best 20% so far"
    assert wide.behind(proposed(4), records) is None


Asked = list[tuple[int, int]]


def confirmation(
    table: np.ndarray, may_win: Callable[[TrialRecord], bool] = lambda record: True, breaks_floors: int | None = None
) -> tuple[Confirmation, Asked]:
    """Of one objective, and a list of who was scored on with how many looks left; one of them may break floors."""
    lap, asked = track({"a": table}, LOOKS), Asked()

    def score(record: TrialRecord, estimates: Sequence[Estimate], left: int) -> Confirmed:
        asked.append((record.number, left))
        values = tuple(one.value for one in estimates) if left else (float(table[record.number].mean()),)
        missed = 0.1 if record.number == breaks_floors and not left else 0.0
        return Confirmed(values, (0.1,), (missed,), f"{left}", lap.share(left))

    return Confirmation(lap, LOSS, 0.0, score, may_win), asked


def stopped(table: np.ndarray) -> list[TrialRecord]:
    """The first trial is whole, and the others stopped at their first look."""
    rows = range(1, len(table))
    return [trial(0, [float(table[0].mean())]), *(trial(row, [float(table[row, :4].mean())], 0.25) for row in rows)]


HALF, MORE, ALL = np.tile([0.0, 1.0], 8), np.tile([0.0, 1.0, 1.0, 1.0], 4), np.ones(16)


def test_finalists_are_scored_on_as_long_as_they_seem_better_than_the_best() -> None:
    """Who was better than all others leaves nothing to them."""
    table = np.array([HALF, HALF, MORE, ALL])
    finals, asked = confirmation(table)
    heard: list[int] = []
    found = finals.confirm(stopped(table), heard.append)
    assert asked == [(3, 1), (3, 0)] and heard == [1]
    assert found[3].values == (1.0,) and found[3].visited == 1.0


def test_a_finalist_that_seems_just_as_good_is_left_alone() -> None:
    table = np.array([HALF, HALF])
    finals, asked = confirmation(table)
    assert finals.confirm(stopped(table), lambda count: None) == {} and asked == []


def test_a_finalist_that_falls_back_makes_way_for_the_next() -> None:
    table = np.array([HALF, MORE, np.repeat([1.0, 0.0], [4, 12])])
    finals, asked = confirmation(table)
    heard: list[int] = []
    found = finals.confirm(stopped(table), heard.append)
    assert asked == [(2, 1), (1, 1), (1, 0)] and heard == [1]
    assert found[2].values == (0.5,) and found[2].visited == 0.5


def test_a_finalist_that_cannot_win_any_more_is_dropped_and_stands_in_nobodys_way() -> None:
    table = np.array([HALF, MORE, ALL])
    finals, asked = confirmation(table, lambda record: record.number == 1 or record.visited < 0.5)
    found = finals.confirm(stopped(table), lambda count: None)
    assert asked == [(2, 1), (1, 1), (1, 0)]
    assert [found[number].visited for number in (1, 2)] == [1.0, 0.5]


def test_a_finalist_that_breaks_a_floor_leaves_the_others_their_gain() -> None:
    table = np.array([HALF, MORE, ALL])
    finals, asked = confirmation(table, breaks_floors=2)
    found = finals.confirm(stopped(table), lambda count: None)
    assert asked == [(2, 1), (2, 0), (1, 1), (1, 0)] and found[1].values == (0.75,)


def test_who_cannot_win_is_not_scored_on_at_all() -> None:
    table = np.array([HALF, ALL])
    finals, asked = confirmation(table, lambda record: False)
    assert finals.confirm(stopped(table), lambda count: None) == {} and asked == []
