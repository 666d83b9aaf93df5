"""AMA against optima that are known, and against what the released code got wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.search._descent.adam import Adam
from mergesearch.search.ama import Ama
from mergesearch.search.cmaes import Cmaes
from mergesearch.search.history import FloatArray
from mergesearch.spaces.box import Box
from mergesearch.spaces.mean import MeanConstrained
from mergesearch.spaces.per import Per

from .slope_walk import after, start, tables, walk

CURVATURE, TARGET = np.array([1.0, 2.0, 4.0]), np.array([0.6, 0.3, 0.0])
SPACE = MeanConstrained(1, 3, 0.8)


def known(members: FloatArray) -> tuple[float, FloatArray]:
    """½ Σ h (β - a)² of the pre shares β, with its slopes in the members' shares."""
    away = (1.0 - members[:, 0]) - TARGET
    return float(0.5 * CURVATURE @ away**2), (-CURVATURE * away)[:, None]


@pytest.mark.parametrize(
    ("options", "optimum", "loss"),
    [
        ({"map": "projected", "steps": 200}, [0.4, 0.2, 0.0], 0.03),
        ({"epsilon": 0.2, "steps": 300}, [0.33913, 0.20435, 0.05652], 0.049565),
        ({"epsilon": 1.0, "steps": 300}, [0.24, 0.24, 0.12], 0.0972),
    ],
)
def test_known_optimum(options: dict[str, object], optimum: list[float], loss: float) -> None:
    """The projected ratios reach the optimum of the slice; ε keeps the sigmoid's within a ratio of (1 + ε) / ε."""
    history = walk(Ama(patience=1000, **options), SPACE, known)  # type: ignore[arg-type]
    best = int(np.argmin(history.losses))
    assert history.losses[best, 0] == pytest.approx(loss, abs=5e-4)
    np.testing.assert_allclose(1.0 - tables(history)[best, :, 0], optimum, atol=0.015)


def test_any_black_box_searcher_finds_it_in_the_space() -> None:
    history = walk(Cmaes(seed=1), SPACE, known, trials=150)
    assert history.losses.min() == pytest.approx(0.03, abs=1e-2)
    shares = 1.0 - tables(history)[:, :, 0]
    assert shares.min() >= 0.0 and shares.max() <= 1.0
    np.testing.assert_allclose(shares.mean(axis=1), 0.2, atol=1e-12)


@pytest.mark.parametrize("space", [MeanConstrained(1, 3), Per(Box(1, 0.0, 1.0), 3)])
@pytest.mark.parametrize("map", ["sigmoid", "projected"])
def test_each_mean_starts_at_plain_averaging_and_stays_at_its_mean(space: MeanConstrained, map: str) -> None:
    history = walk(Ama(pre_shares=[0.2, 0.4, 0.6], map=map, steps=8), space, known)  # type: ignore[arg-type]
    shares = 1.0 - tables(history)[:, :, 0]
    np.testing.assert_array_equal(shares[:3], 1.0 - np.repeat([[0.8], [0.6], [0.4]], 3, axis=1))
    assert shares.min() >= 0.0 and shares.max() <= 1.0
    means = np.round(shares.mean(axis=1), 12)
    assert [int((means == share).sum()) for share in (0.2, 0.4, 0.6)] == [9, 9, 9]
    for share in (0.2, 0.4, 0.6):  # better than plain averaging at the same mean
        losses = history.losses[means == share, 0]
        assert losses.min() < losses[0]


def test_held_groups_follow_the_mean() -> None:
    space = MeanConstrained(1, 4, held={0: "base", 3: "mean"})

    def loss(members: FloatArray) -> tuple[float, FloatArray]:
        return float(members[1, 0]), np.array([[5.0], [1.0], [0.0], [-7.0]])

    found = tables(walk(Ama(pre_shares=[0.3], steps=5), space, loss))[:, :, 0]
    np.testing.assert_allclose(found[:, [0, 3]], np.tile([0.0, 0.7], (len(found), 1)), atol=1e-15)
    np.testing.assert_allclose(found[:, 1:3].mean(axis=1), 0.7, atol=1e-12)
    assert found[-1, 1] < found[0, 1]


def test_the_optimum_near_the_member_is_that_of_its_fisher_information() -> None:
    """On a softmax model with three blocks, the likeliest ratios at a small mean are H⁻¹1, scaled to the mean."""
    generator = np.random.default_rng(4)
    inputs = generator.normal(size=(400, 9))
    member = generator.normal(size=(9, 5))
    deltas = np.zeros((3, 9, 5))  # base minus member, by block
    for block, scale in enumerate((0.35, 0.7, 1.1)):
        deltas[block, 3 * block : 3 * block + 3] = scale * generator.normal(size=(3, 5))

    def logs(pre: FloatArray) -> FloatArray:
        raw = inputs @ (member + np.tensordot(pre, deltas, axes=1))
        return np.asarray(raw - np.log(np.exp(raw).sum(axis=1, keepdims=True)))

    truth = np.exp(logs(np.zeros(3)))  # what the member says, of which its own samples are draws

    def loss(members: FloatArray) -> tuple[float, FloatArray]:
        found = logs(1.0 - members[:, 0])
        by_raw = (np.exp(found) - truth) / len(inputs)
        return float(-(truth * found).sum(axis=1).mean()), -np.einsum("nk,bnk->b", by_raw, inputs @ deltas)[:, None]

    moves = inputs @ deltas
    centred = moves - np.einsum("nk,bnk->bn", truth, moves)[:, :, None]
    fisher = np.einsum("nk,ank,bnk->ab", truth, centred, centred) / len(inputs)
    closed = np.linalg.solve(fisher, np.ones(3))
    np.testing.assert_allclose(loss(np.ones((3, 1)))[1], 0.0, atol=1e-15)  # no slope at the member itself
    history = walk(
        Ama(pre_shares=[0.05], map="projected", rate=0.01, steps=300, patience=300), MeanConstrained(1, 3), loss
    )
    best = 1.0 - tables(history)[int(np.argmin(history.losses)), :, 0]
    assert closed.min() > 0  # otherwise the box would decide
    np.testing.assert_allclose(best, 0.05 * 3 * closed / closed.sum(), atol=0.005)


def test_the_first_step_moves_every_logit_by_the_rate() -> None:
    """One entry per logit: K ratios are K numbers, each stepped once."""
    path = Ama(pre_shares=[0.2]).paths(MeanConstrained(1, 26))[0]
    values, slopes = path.start(), np.random.default_rng(0).normal(size=(26, 1))
    assert values.shape == (26, 1)
    gradient = path.gradient(values, slopes)
    assert np.abs(gradient).min() > 1e-5
    np.testing.assert_allclose(np.abs(Adam().move(gradient)), 1.0, rtol=1e-3)


def test_the_published_rate_moves_nothing() -> None:
    """A thousand cosine steps of 2e-5 move a logit by 0.01, and a ratio of 0.2 to 0.1995."""
    searcher, adam = Ama(steps=1000, rate=2e-5), Adam()
    moved = sum(float(searcher._rate_at(step) * adam.move(np.ones(1))[0]) for step in range(1000))
    assert moved == pytest.approx(0.0100, abs=5e-4)
    path = Ama(pre_shares=[0.2]).paths(MeanConstrained(1, 3))[0]
    values = path.start() - moved * np.array([[1.0], [-1.0], [-1.0]])
    assert 1.0 - path.table(values).members[0, 0] == pytest.approx(0.2, abs=2e-3)


def test_patience_ends_a_descent() -> None:
    """Where the loss does not fall, `patience` iterates after the first are the last."""

    def flat(members: FloatArray) -> tuple[float, FloatArray]:
        return 1.0, np.ones_like(members) * np.array([[1.0], [0.0], [0.0]])

    assert len(walk(Ama(patience=4), SPACE, flat)) == 5


def test_steer_says_which_objective_is_followed() -> None:
    def other(members: FloatArray) -> tuple[float, FloatArray]:
        return float("nan"), np.full_like(members, np.nan)

    history = walk(Ama(steer=[1, 0], steps=5), SPACE, known, other)
    alone = walk(Ama(steps=5), SPACE, known)
    np.testing.assert_array_equal(history.x, alone.x)
    assert len(walk(Ama(steps=5), SPACE, known, other)) == 1  # no slopes, no next step


def test_several_steers_are_several_descents_from_one_start() -> None:
    def other(members: FloatArray) -> tuple[float, FloatArray]:
        loss, slopes = known(members[::-1])
        return loss, slopes[::-1]

    options: dict[str, Any] = {"map": "projected", "steps": 60, "patience": 60}
    history = walk(Ama(steer=[[1, 0], [0, 1]], **options), SPACE, known, other)
    assert len(history) == 2 * 60 + 1
    first, second = np.argmin(history.losses, axis=0)
    shares = 1.0 - tables(history)[:, :, 0]
    np.testing.assert_allclose(shares[first], shares[second][::-1], atol=1e-6)
    assert history.losses[first, 0] < 0.5 * history.losses[second, 0]


def test_what_is_kept_does_not_get_worse() -> None:
    """The optimum under the constraint: where the other loss cannot fall without the kept one rising."""

    def other(members: FloatArray) -> tuple[float, FloatArray]:
        loss, slopes = known(members[::-1])
        return loss, slopes[::-1]

    searcher = Ama(keep=[True, False], map="projected", steps=150, patience=150)
    history = walk(searcher, SPACE, known, other)
    allowed = history.losses[:, 0] <= history.losses[0, 0]
    best = history.losses[allowed, 1].min()
    lattice = np.array([[a, b, 0.6 - a - b] for a in np.linspace(0, 0.6, 121) for b in np.linspace(0, 0.6, 121)])
    found = np.array([[known(1 - one[:, None])[0], other(1 - one[:, None])[0]] for one in lattice if one[2] >= 0])
    optimum = found[found[:, 0] <= history.losses[0, 0], 1].min()
    assert optimum <= best + 1e-6 and best < history.losses[0, 1]
    assert best == pytest.approx(optimum, abs=0.1 * (history.losses[0, 1] - optimum))


def test_a_trial_that_failed_ends_its_descent_only() -> None:
    history = start(MeanConstrained(1, 3))
    searcher = Ama(pre_shares=[0.2, 0.4], steps=3)
    first = searcher.ask(history)
    assert first is not None
    failed = start(MeanConstrained(1, 3))
    object.__setattr__(failed, "unscored", first[None])
    shares = set()
    while (x := searcher.ask(failed)) is not None:
        shares.add(round(1.0 - float(x[0]), 12))
        failed = after(failed, x, [known])
    assert shares == {0.4}


def test_refused() -> None:
    with pytest.raises(InputError, match=r"pre_shares are \[0\.2, 1\.0\]; give numbers between 0 and 1"):
        Ama(pre_shares=[0.2, 1.0])
    with pytest.raises(
        InputError, match=r"map is 'softmax' and epsilon 0.2; give sigmoid or projected, and at least 0"
    ):
        Ama(map="softmax")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="map is 'sigmoid' and epsilon -1"):
        Ama(epsilon=-1)
    with pytest.raises(InputError, match=r"steps is 0, rate 0.5 and patience 10; give positive numbers"):
        Ama(steps=0)
    with pytest.raises(InputError, match=r"steer is \[0, 0\]; give one weight per objective"):
        Ama(steer=[0, 0])
    with pytest.raises(InputError, match=r"keep is \[True, True\]; give true or false per objective, at least one of"):
        Ama(keep=[True, True])
    with pytest.raises(InputError, match="steer and keep exclude each other"):
        Ama(steer=[1, 0], keep=[True, False])
    with pytest.raises(InputError, match="steer has 2 values for 1 objectives; give one for each"):
        walk(Ama(steer=[1, 1]), SPACE, known)
    with pytest.raises(
        InputError, match=r"Ama starts at coefficients \[0\.6\] \(first group\), which the space does not"
    ):
        Ama(pre_shares=[0.4]).ask(start(SPACE))
    with pytest.raises(InputError, match=r"the mean of the space is from 0.9 to 1; give ama pre_shares for it"):
        Ama().ask(start(MeanConstrained(1, 3, (0.9, 1.0))))
