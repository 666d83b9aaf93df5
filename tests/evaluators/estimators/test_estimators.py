"""Every estimator: exact at the end, with an error that shrinks; and what sets each of them apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mergesearch.errors import InputError
from mergesearch.evaluators.estimators.estimator import Estimator
from mergesearch.evaluators.estimators.item_response import ItemResponse
from mergesearch.evaluators.estimators.mean import Mean
from mergesearch.evaluators.estimators.stratified import Stratified, stratified_mean
from mergesearch.evaluators.racing.order import visiting_order
from mergesearch.evaluators.racing.strata import FloatArray, Strata, strata_of
from mergesearch.plugins import load_plugin, plugin_names

ROOM = "mergesearch.evaluators.estimators"
NAMES = plugin_names(ROOM, Estimator)


def answers(
    seed: int, samples: int = 1000, merges: int = 40, members: int = 3, shared: float = 0.7
) -> tuple[FloatArray, FloatArray]:
    """Right answers of specialists and of merges of theirs: five skills, a share of the luck a sample's own."""
    rng = np.random.default_rng(seed)
    steep = np.abs(rng.normal(1, 0.4, (samples, 5))) * (rng.random((samples, 5)) < 0.5)
    hard = rng.normal(0.5, 1.5, samples)
    abilities = rng.normal(0, 0.5, (members, 5))
    abilities[range(members), range(members)] += 2
    mixes = rng.dirichlet(np.ones(members), merges) * rng.uniform(0.8, 1.3, (merges, 1))
    everyone = np.vstack([abilities, mixes @ abilities])
    alike = rng.random((len(everyone), samples)) < shared
    luck = np.where(alike, rng.logistic(size=samples), rng.logistic(size=alike.shape))
    right = (everyone @ steep.T - hard + luck > 0).astype(float)
    return right[:members], right[members:]


def test_the_plugins_are_found_by_name() -> None:
    assert NAMES == ["item_response", "mean", "stratified"]
    with pytest.raises(InputError, match="nothing called 'strat' in estimators; did you mean 'stratified'"):
        load_plugin("strat", ROOM, Estimator)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 500), st.integers(0, 5), st.booleans())
@settings(max_examples=15, deadline=None)
def test_everything_visited_is_exact(name: str, seed: int, members: int, binary: bool) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.random((members + 1, 60)) * 3
    scores = (scores < 1.5).astype(float) if binary else scores
    strata = strata_of(scores[1:])
    kind = load_plugin(name, ROOM, Estimator)
    visited = rng.permutation(60)
    found = kind(strata, scores[1:]).estimate(visited, scores[0][visited])
    assert found.value == pytest.approx(scores[0].mean(), abs=1e-9)
    assert found.error == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_a_few_equal_values_are_not_certain(name: str) -> None:
    members, merges = answers(0)
    strata = strata_of(members)
    estimator = load_plugin(name, ROOM, Estimator)(strata, members)
    for visited in (np.array([4]), np.flatnonzero(merges[0] == 1)[:12]):
        assert estimator.estimate(visited, np.ones(len(visited))).error > 0.01


def test_the_stratified_mean_by_hand() -> None:
    strata = Strata(np.repeat([0, 1], [6, 4]), np.array([True, False]))
    visited, values = np.array([0, 1, 2, 6, 7]), np.array([1.0, 1.0, 0.0, 0.0, 1.0])
    found = stratified_mean(strata, visited, values, 0.25)
    assert found.value == pytest.approx(0.6 * 2 / 3 + 0.4 / 2)
    within = (2 / 3 + 1 / 2 + 8 * 0.25) / (2 + 1 + 8)
    variances = [(2 / 3 + 8 * within) / (2 + 8), (1 / 2 + 8 * within) / (1 + 8)]
    expected = 0.36 * variances[0] / 3 * (1 - 3 / 6) + 0.16 * variances[1] / 2 * (1 - 2 / 4)
    assert found.error == pytest.approx(np.sqrt(expected))


def test_a_stratum_without_samples_is_taken_to_be_like_the_others() -> None:
    strata = Strata(np.repeat([0, 1, 2], [5, 3, 2]), np.array([True, False, False]))
    found = stratified_mean(strata, np.array([0, 5]), np.array([1.0, 0.0]), 0.25)
    assert found.value == pytest.approx((0.5 * 1 + 0.3 * 0) / 0.8)
    assert found.error > stratified_mean(strata, np.array([0, 5, 8]), np.array([1.0, 0.0, 1.0]), 0.25).error


def test_the_stratified_mean_is_unbiased_and_its_error_covers() -> None:
    members, merges = answers(1)
    strata = strata_of(members)
    estimator = Stratified(strata, members)
    for merge in merges[:3]:
        found = []
        for seed in range(800):
            visited = visiting_order(strata, 0.3, [seed])[:60]
            found.append(estimator.estimate(visited, merge[visited]))
        values = np.array([one.value for one in found])
        assert values.mean() == pytest.approx(merge.mean(), abs=4 * values.std() / np.sqrt(800))
        inside = [abs(one.value - merge.mean()) <= 1.96 * one.error for one in found]
        assert 0.93 < np.mean(inside) <= 1


def errors_of(estimators: dict[str, Estimator], visits: dict[str, np.ndarray], merges: FloatArray) -> dict[str, float]:
    found = {}
    for name, estimator in estimators.items():
        visited = visits[name]
        misses = [estimator.estimate(visited, merge[visited]).value - merge.mean() for merge in merges]
        found[name] = float(np.mean(np.square(misses)))
    return found


def test_item_response_tells_most_and_strata_more_than_the_plain_mean() -> None:
    """Root mean square errors over eight worlds."""
    totals: dict[int, dict[str, float]] = {20: {}, 200: {}}
    for seed in range(8):
        members, merges = answers(seed)
        strata = strata_of(members)
        kinds = {"mean": Mean, "stratified": Stratified, "item_response": ItemResponse}
        estimators = {name: kind(strata, members) for name, kind in kinds.items()}
        for count, sums in totals.items():
            order = visiting_order(strata, 0.3, [seed])[:count]
            plain = np.random.default_rng(seed).permutation(1000)[:count]
            visits = {"mean": plain, "stratified": order, "item_response": order}
            for name, square in errors_of(estimators, visits, merges).items():
                sums[name] = sums.get(name, 0.0) + square / 8
    few, many = ({name: np.sqrt(square) for name, square in totals[count].items()} for count in (20, 200))
    assert few["item_response"] < 0.8 * few["stratified"] < 0.8 * few["mean"]
    assert many["stratified"] < 0.95 * many["mean"]
    assert many["item_response"] < 0.95 * many["stratified"]


@pytest.mark.parametrize(("members", "shared", "least"), [(4, 0.4, 0.9), (5, 0.7, 0.9), (2, 0.9, 0.7)])
@pytest.mark.parametrize("graded", [False, True])
def test_item_response_states_its_own_error(members: int, shared: float, least: float, graded: bool) -> None:
    """Root mean square errors beside those that are stated, in worlds that no setting was chosen on.

    Graded scores are means of four answers. Where merges hardly depart from their members, it is too cautious.
    """
    pairs: dict[int, list[tuple[float, float]]] = {30: [], 150: []}
    for seed in range(1000, 1020):
        references, merges = answers(seed, 2000 if graded else 500, 15, members, shared)
        if graded:
            references, merges = (one.reshape(len(one), 500, 4).mean(axis=2) for one in (references, merges))
        strata = strata_of(references)
        order = visiting_order(strata, 0.2, [seed])
        estimator = ItemResponse(strata, references)
        for count, some in pairs.items():
            for merge in merges:
                one = estimator.estimate(order[:count], merge[order[:count]])
                some.append((one.value - merge.mean(), one.error))
    for some in pairs.values():
        error, stated = np.sqrt(np.mean(np.square(some), axis=0))
        assert least < error / stated < 1.2


def test_without_shifts_item_response_states_too_little() -> None:
    """What the test above would find of a model whose only error is that of the abilities."""
    found = []
    for seed in range(1000, 1020):
        members, merges = answers(seed, 500, 15, 4, 0.4)
        strata = strata_of(members)
        visited = visiting_order(strata, 0.2, [seed])[:150]
        estimator = ItemResponse(strata, members, shift=1e-4)
        for merge in merges:
            one = estimator.estimate(visited, merge[visited])
            found.append((one.value - merge.mean(), one.error))
    error, stated = np.sqrt(np.mean(np.square(found), axis=0))
    assert error / stated > 1.4


def test_item_response_knows_a_member_from_few_samples() -> None:
    members, _ = answers(2)
    strata = strata_of(members)
    visited = visiting_order(strata, 0.3, [2])[:60]
    found = ItemResponse(strata, members, ridge=0.1).estimate(visited, members[0][visited])
    assert found.value == pytest.approx(members[0].mean(), abs=0.03)


def test_item_response_stands_a_candidate_that_gets_everything_right_or_wrong() -> None:
    members, _ = answers(3)
    strata = strata_of(members)
    visited = visiting_order(strata, 0.3, [3])[:20]
    estimator, none = ItemResponse(strata, members), np.zeros(20)
    low, middle, high = (estimator.estimate(visited, one).value for one in (none, members[0][visited], none + 1))
    assert 0 < low < middle < 1
    assert low < high < 1


def test_a_wide_ridge_puts_every_candidate_in_the_middle_of_the_members() -> None:
    members, merges = answers(4)
    strata = strata_of(members)
    visited = visiting_order(strata, 0.3, [4])[:20]
    estimator = ItemResponse(strata, members, ridge=1e9, shift=1e-5)
    values = [estimator.estimate(visited, one[visited]).value for one in merges[:5]]
    seen = [one[visited].mean() for one in merges[:5]]
    assert np.ptp(np.array(values) - 20 / 1000 * np.array(seen)) < 1e-6


@pytest.mark.parametrize(("ridge", "shift"), [(5.0, 0.8), (1e4, 0.8), (1e4, 1e-2), (0.1, 3.0)])
def test_item_response_is_a_logistic_regression_with_a_ridge_around_the_members_own(ridge: float, shift: float) -> None:
    """Beside Newton's steps on the penalised likelihood, with the items that were fitted to the members."""
    members, merges = answers(5, samples=200)
    strata = strata_of(members)
    visited = visiting_order(strata, 0.3, [5])[:24]
    unseen = np.setdiff1d(np.arange(200), visited)
    estimator = ItemResponse(strata, members, ridge=ridge, shift=shift)
    features, difficulties, areas = estimator._features, estimator._difficulties, len(strata.sizes)
    middle, weights = np.repeat([1 / 3, 0.0], [3, areas]), np.repeat([ridge, shift**-2], [3, areas])
    for merge in merges[:3]:
        effects = middle
        for _ in range(50):
            chance = expit(features[visited] @ effects - difficulties[visited])
            slope = features[visited].T @ (chance - merge[visited]) + weights * (effects - middle)
            curvature = features[visited].T @ ((chance * (1 - chance))[:, None] * features[visited]) + np.diag(weights)
            effects = effects - np.linalg.solve(curvature, slope)
        expected = (merge[visited].sum() + expit(features[unseen] @ effects - difficulties[unseen]).sum()) / 200
        assert estimator.estimate(visited, merge[visited]).value == pytest.approx(expected, abs=1e-6)


def test_a_candidate_of_whom_little_is_seen_is_taken_to_lie_between_its_members() -> None:
    """With a strong ridge: the chances of the mean of their abilities, and not of no ability at all."""
    members, _ = answers(6)
    strata = strata_of(members)
    estimator = ItemResponse(strata, members, ridge=1e6, shift=1e-3)
    visited = visiting_order(strata, 0.3, [6])[:4]
    low, high = sorted(members.mean(axis=1))[:: len(members) - 1]
    for values in (np.zeros(4), np.ones(4)):
        found = estimator.estimate(visited, values).value
        assert low < found < high
        logits = estimator._features[:, :3].mean(axis=1) - estimator._difficulties
        assert found == pytest.approx(expit(logits).mean(), abs=0.01)
