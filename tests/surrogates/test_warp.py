"""Warps: inverse, derivative, order, limits."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.surrogates.warp import Warp, warp_of, warps_for

WARPS = [warp_of(name) for name in ("identity", "logit", "probit", "cloglog", "log", "softplus")]
WARPS += [warp_of(name, chance=0.25) for name in ("logit", "probit", "cloglog")]
latents = st.lists(st.floats(-4.0, 3.0), min_size=1, max_size=20).map(lambda values: np.array(values))


@pytest.mark.parametrize("warp", WARPS, ids=repr)
@given(z=latents)
@settings(max_examples=60, deadline=None)
def test_latent_is_the_inverse_of_metric(warp: Warp, z: np.ndarray) -> None:
    np.testing.assert_allclose(warp.latent(warp.metric(z)), z, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("warp", WARPS, ids=repr)
@given(z=latents)
@settings(max_examples=60, deadline=None)
def test_slope_is_the_derivative_of_metric(warp: Warp, z: np.ndarray) -> None:
    numeric = (warp.metric(z + 1e-5) - warp.metric(z - 1e-5)) / 2e-5
    np.testing.assert_allclose(warp.slope(z), numeric, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("warp", WARPS, ids=repr)
@given(z=latents)
@settings(max_examples=60, deadline=None)
def test_metric_increases_within_its_limits(warp: Warp, z: np.ndarray) -> None:
    y = warp.metric(z)
    assert (warp.metric(z + 1e-3) > y).all()
    assert ((warp.low < y) & (y < warp.high)).all()


@pytest.mark.parametrize("warp", WARPS, ids=repr)
def test_nothing_overflows_far_out(warp: Warp) -> None:
    with np.errstate(over="raise", invalid="raise"):
        far = np.array([-600.0, 600.0])
        assert np.isfinite(warp.metric(far)).all()
        assert np.isfinite(warp.slope(far)).all()


def test_a_loss_of_fifty_nats_keeps_its_latent() -> None:
    assert warp_of("softplus").latent(np.array([50.0, 800.0])) == pytest.approx([50.0, 800.0])


@pytest.mark.parametrize("warp", WARPS, ids=repr)
def test_a_pickled_warp_is_the_same(warp: Warp) -> None:
    again = pickle.loads(pickle.dumps(warp))
    z = np.linspace(-3, 3, 7)
    assert repr(again) == repr(warp)
    np.testing.assert_array_equal(again.metric(z), warp.metric(z))


def test_warps_for_what_was_measured() -> None:
    def names(*arguments: object, **options: object) -> list[str]:
        return [warp.name for warp in warps_for(*arguments, **options)]  # type: ignore[arg-type]

    accuracies, losses = ["identity", "logit", "probit", "cloglog"], ["identity", "log", "softplus"]
    assert names(np.array([0.1, 0.9])) == accuracies + losses[1:]
    assert names(np.array([0.0, 1.0])) == accuracies
    assert names(np.array([0.5, 2.0])) == losses
    assert names(np.array([-0.5, 2.0])) == ["identity"]
    assert names(np.array([0.1, 0.9]), accuracy=True) == accuracies
    assert names(np.array([0.1, 0.9]), accuracy=False) == losses
    assert warps_for(np.array([0.1, 0.9]), chance=0.25)[1].low == 0.25


def test_refusals() -> None:
    with pytest.raises(InputError, match=r"unknown warp 'logti'; did you mean 'logit'\?"):
        warp_of("logti")
    with pytest.raises(InputError, match="chance is 1; give the accuracy of guessing, at least 0 and below 1"):
        warp_of("logit", chance=1.0)
