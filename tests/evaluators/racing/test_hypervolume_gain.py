"""Expected hypervolume gain, beside gains that are known and gains that are drawn."""

from __future__ import annotations

import moocore
import numpy as np
import pytest

from mergesearch.evaluators.estimators.estimator import Estimate
from mergesearch.evaluators.racing.hypervolume_gain import HypervolumeGain

FRONT = np.array([[0.2, 0.8], [0.5, 0.5], [0.8, 0.2]])
WORST = np.array([1.0, 1.0])


def sure(*losses: float) -> list[Estimate]:
    return [Estimate(loss, 0.0) for loss in losses]


def volume(losses: np.ndarray, worst: np.ndarray = WORST) -> float:
    return float(moocore.hypervolume(losses, ref=worst))


@pytest.mark.parametrize("point", [(0.3, 0.6), (0.1, 0.9), (0.45, 0.15), (0.1, 0.1)])
def test_of_known_losses_the_gain_is_what_they_add(point: tuple[float, float]) -> None:
    number, gain = HypervolumeGain(FRONT, WORST, {7: sure(*point), 8: sure(0.9, 0.9)}).best() or (0, 0.0)
    assert number == 7
    assert gain == pytest.approx(volume(np.vstack([FRONT, point])) / volume(FRONT) - 1.0, abs=2e-3)


@pytest.mark.parametrize("objectives", [2, 3])
def test_of_estimates_the_gain_is_that_of_draws_on_average(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    front = rng.dirichlet(np.ones(objectives), 6)
    worst, values, errors = np.ones(objectives) * 1.2, np.full(objectives, 0.3), rng.uniform(0.02, 0.1, objectives)
    estimates = [Estimate(value, error) for value, error in zip(values, errors, strict=True)]
    draws = values + errors * rng.standard_normal((4000, objectives))
    drawn = [volume(np.vstack([front, draw]), worst) for draw in draws]
    _, gain = HypervolumeGain(front, worst, {0: estimates}).best() or (0, 0.0)
    assert gain == pytest.approx(np.mean(drawn) / volume(front, worst) - 1.0, rel=0.03)


def test_whoever_joins_the_front_leaves_less_to_the_others() -> None:
    gains = HypervolumeGain(FRONT, WORST, {1: sure(0.3, 0.3), 2: sure(0.32, 0.31)})
    before = HypervolumeGain(FRONT, WORST, {2: sure(0.32, 0.31)}).best()
    gains.drop(1)
    assert gains.best() == pytest.approx(before, rel=0.02)
    gains.confirm(np.array([0.3, 0.3]))
    assert gains.best() == (2, 0.0)
    gains.drop(2)
    assert gains.best() is None


def test_a_new_estimate_takes_the_place_of_the_old_one() -> None:
    gains = HypervolumeGain(FRONT, WORST, {1: sure(0.3, 0.3), 2: sure(0.3, 0.4)})
    assert (gains.best() or (0,))[0] == 1
    gains.update(1, sure(0.9, 0.9))
    assert (gains.best() or (0,))[0] == 2


def test_equal_gains_go_to_the_lowest_number() -> None:
    assert (HypervolumeGain(FRONT, WORST, {5: sure(0.3, 0.3), 3: sure(0.3, 0.3)}).best() or (0,))[0] == 3


def test_a_front_that_leaves_nothing_to_gain_is_gained_nothing_by() -> None:
    """Where all are perfect, and no score has an error, the box has no volume."""
    perfect = np.array([[-1.0, -1.0]])
    assert HypervolumeGain(perfect, perfect[0], {4: [Estimate(-0.5, 0.1), Estimate(-1.0, 0.0)]}).best() == (4, 0.0)


def test_beside_a_front_without_volume_all_gain_much() -> None:
    """The one that adds most comes first all the same."""
    gains = HypervolumeGain(WORST[None], WORST, {3: sure(0.5, 0.75), 4: sure(0.5, 0.5)})
    number, gain = gains.best() or (0, 0.0)
    assert number == 4 and np.isfinite(gain) and gain > 1
