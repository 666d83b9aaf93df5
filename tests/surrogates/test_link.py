"""The link: monotone, inverted, right with five points and bent by many."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mergesearch.errors import InputError
from mergesearch.surrogates.link import MonotoneLink

points = st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.0, 1.0)), min_size=1, max_size=30)


@given(points)
@settings(max_examples=80, deadline=None)
def test_a_larger_loss_never_has_a_larger_accuracy(measured: list[tuple[float, float]]) -> None:
    losses, accuracies = np.array(measured).T
    link = MonotoneLink(trials=100).fit(losses, accuracies)
    z = link.latent(np.geomspace(1e-3, 100.0, 200))
    assert (np.diff(z) < 0).all()


@given(points)
@settings(max_examples=80, deadline=None)
def test_inverse(measured: list[tuple[float, float]]) -> None:
    losses, accuracies = np.array(measured).T
    link = MonotoneLink(trials=100).fit(losses, accuracies)
    inside = losses[np.abs(link.latent(losses)) < 10]
    np.testing.assert_allclose(
        link.latent(link.inverse(link.predict(inside))), link.latent(inside), rtol=1e-6, atol=1e-6
    )


def test_five_points_are_enough_for_a_line() -> None:
    rng = np.random.default_rng(0)
    losses = np.array([0.2, 0.5, 0.9, 2.0, 4.0])
    truth = lambda loss: expit(-1.5 * np.log(loss) + 0.3)  # noqa: E731
    link = MonotoneLink(trials=1000).fit(losses, rng.binomial(1000, truth(losses)) / 1000)
    wide = np.geomspace(0.1, 5.0, 50)
    assert np.abs(link.predict(wide) - truth(wide)).max() < 0.05


def test_many_points_bend_it() -> None:
    """A ceiling and a floor, which no line has."""
    rng = np.random.default_rng(0)
    truth = lambda loss: 0.1 + 0.6 * expit(-6.0 * np.log(loss))  # noqa: E731
    losses = rng.uniform(0.2, 5.0, 80)
    accuracies = rng.binomial(1000, truth(losses)) / 1000
    link = MonotoneLink(trials=1000).fit(losses, accuracies)
    wide = np.geomspace(0.25, 4.5, 100)
    assert link.share_ > 0.0
    assert np.sqrt(np.mean((link.predict(wide) - truth(wide)) ** 2)) < 0.03


def test_a_metric_that_grows_with_the_loss() -> None:
    losses = np.array([0.5, 1.0, 1.5, 2.0, 3.0])
    link = MonotoneLink(increasing=True, warp="log").fit(losses, np.exp(losses))
    assert (np.diff(link.predict(np.linspace(0.4, 4.0, 50))) > 0).all()
    assert link.predict([1.5])[0] == pytest.approx(np.exp(1.5), rel=0.3)


def test_a_loss_of_zero_is_the_best_one() -> None:
    """Such as a divergence from the member itself; what is predicted of other points may even lie below."""
    losses = np.array([0.0, 0.1, 0.3, 0.9, 2.0])
    link = MonotoneLink(trials=1000).fit(losses, np.exp(-losses))
    z = link.latent(np.array([-0.2, 0.0, 0.01, 0.1, 0.5, 2.0]))
    assert np.isfinite(z).all() and z[0] == z[1] and (np.diff(z[1:]) < 0).all()
    assert link.predict([0.0])[0] > 0.98 and link.predict([0.3])[0] == pytest.approx(np.exp(-0.3), abs=0.1)
    assert link.inverse(link.predict([0.3]))[0] == pytest.approx(0.3)


def test_refusals() -> None:
    with pytest.raises(InputError, match="loss -1 is negative; the link is a curve in log loss"):
        MonotoneLink().fit([1.0, -1.0], [0.5, 0.5])
    with pytest.raises(InputError, match="2 losses and 1 metrics; give one of each per evaluated point"):
        MonotoneLink().fit([1.0, 2.0], [0.5])
    with pytest.raises(InputError, match="warp 'logit' has no value for metric 3; take 'identity'"):
        MonotoneLink().fit([1.0, 2.0], [0.5, 3.0])
