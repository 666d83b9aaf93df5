"""Bayesian MAP: nothing twice, nothing left unfitted, and no region out of reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mergesearch.errors import InputError
from mergesearch.search._map.expected import expected_hypervolume, uncertainty
from mergesearch.search.bayesian_map import BayesianMap, probabilities, regions_of
from mergesearch.search.map import Map
from mergesearch.search.pareto import hypervolume

from .map_truth import Truth, search


@pytest.mark.parametrize("acquisition", ["uncertainty", "hypervolume"])
def test_schedule_is_accounted_for(acquisition: str) -> None:
    """15 trials, then two rounds of 3: 21 evaluations, all distinct, and the last front is fitted to all 21."""
    searcher = BayesianMap(seed=0, design=15, batch=3, acquisition=acquisition)  # type: ignore[arg-type]
    history = search(searcher, Truth(3), 21, gradients=False)
    assert len(history) == 21
    assert len(np.unique(history.x, axis=0)) == 21
    model, _ = searcher.predicted(history, 21)
    before, _ = searcher.predicted(history, 18)
    z = searcher.frame(history).coordinates(history.x)
    assert model.moments(z)[1][18:].max() < before.moments(z)[1][18:].max()
    assert np.array_equal(searcher.front(history).losses, searcher.predicted(history, 21)[1].losses)


def test_rounds_are_fitted_once() -> None:
    """Within a round proposals come from one model; after it, from the next."""
    truth, searcher = Truth(2), BayesianMap(seed=0, design=6, batch=3)
    models = []
    for trials in range(6, 13):
        history = search(BayesianMap(seed=0, design=6, batch=3), truth, trials, gradients=False)
        searcher.ask(history)
        assert searcher._valued is not None
        models.append(searcher._valued[0])
    assert [models[0] is models[1], models[2] is models[3], models[3] is models[4]] == [True, False, True]


@given(arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)))
@settings(deadline=None)
def test_every_region_keeps_a_probability(scores: np.ndarray) -> None:
    found = probabilities(scores)
    assert found.sum() == pytest.approx(1.0)
    assert found.min() >= 0.1 / len(scores) - 1e-12
    order = np.argsort(scores, kind="stable")
    assert np.all(np.diff(found[order]) >= -1e-12)


def test_regions_tell_leaders_and_lengths_apart() -> None:
    rows = np.array([[0.2, 0.1], [0.1, 0.2], [1.0, 0.5], [0.5, 1.0]])
    assert regions_of(rows).tolist() == [0, 2, 1, 3]


def test_uncertainty_of_few_points_is_not_zero() -> None:
    """A region with four points or less has a spread, too: it comes from the surrogate, not from resampling."""
    searcher = BayesianMap(seed=0, design=5)
    history = search(searcher, Truth(2), 5, gradients=False)
    _, values = searcher.valued(history, 5)
    assert values.max() > 0


def test_expected_hypervolume_orders_as_hypervolume_does() -> None:
    """Without uncertainty it is the gain in hypervolume, up to one factor and the error of its directions."""
    rng = np.random.default_rng(0)
    known, points = rng.uniform(0.4, 1.0, (6, 3)), rng.uniform(0.0, 0.9, (12, 3))
    found = expected_hypervolume(lambda z: z, points, np.zeros_like(points), known)
    # the volume is told relative to the best of all points and the worst of the known ones
    reference = known.max(axis=0)
    gains = np.array([hypervolume(np.vstack([known, p]), reference) - hypervolume(known, reference) for p in points])
    assert np.corrcoef(found, gains)[0, 1] > 0.97


def test_uncertainty_counts_near_the_front_only() -> None:
    known = np.array([[0.0, 1.0], [1.0, 0.0]])
    front = np.array([[0.5, 0.5]])
    mean, std = np.array([[0.5, 0.5], [0.9, 0.9], [0.5, 0.5]]), np.array([[0.1, 0.1], [0.1, 0.1], [0.01, 0.01]])
    near, far, sure = uncertainty(lambda z: z, mean, std, front, known)
    assert near > 5 * sure > 0
    assert far < 0.1 * near


def test_sequential_beats_one_shot() -> None:
    """At equal evaluations the scored answers are nearer to the best, without gradients."""
    truth, budget = Truth(3, seed=4), 20
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 60)

    def loss(searcher: Map) -> float:
        front = searcher.front(search(searcher, truth, budget, gradients=False))
        return float((truth.losses(front.x[(front.losses @ weights.T).argmin(axis=0)]) * weights).sum(axis=1).mean())

    seeds = range(2)
    sequential = np.mean([loss(BayesianMap(seed)) for seed in seeds])
    assert sequential <= np.mean([loss(Map(seed, design=budget)) for seed in seeds]) + 0.002


def test_options_out_of_range() -> None:
    with pytest.raises(InputError, match="acquisition is 'luck'; give uncertainty or hypervolume"):
        BayesianMap(acquisition="luck")  # type: ignore[arg-type]
