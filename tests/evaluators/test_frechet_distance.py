"""The Fréchet distance against independent formulas, and its error against the spread over fresh samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.evaluators._images.frechet_distance import FrechetDistance, Gaussian

Array = np.ndarray[Any, np.dtype[np.float64]]


def _mixed(generator: np.random.Generator, count: int, width: int, shift: float = 0.0) -> Array:
    """Correlated features whose scales fall over two decades."""
    mixing = np.random.default_rng(width).normal(size=(width, width)) * np.logspace(0, -2, width)[:, None]
    return generator.normal(size=(count, width)) @ mixing + shift


def _by_matrix_root(features: Array, reference: Array) -> float:
    """The textbook formula, by scipy's root of the product of covariances."""
    own, theirs = np.cov(features, rowvar=False), np.cov(reference, rowvar=False)
    root = scipy.linalg.sqrtm(own @ theirs)
    return float(((features.mean(0) - reference.mean(0)) ** 2).sum() + np.trace(own + theirs - 2 * np.real(root)))


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 12), st.integers(0, 10**6), st.floats(0, 3))
def test_it_is_the_textbook_formula(width: int, seed: int, shift: float) -> None:
    generator = np.random.default_rng(seed)
    features, reference = _mixed(generator, 60, width, shift), _mixed(generator, 80, width) ** 3
    found = FrechetDistance(Gaussian.of(reference)).scores(features)
    assert found.value == pytest.approx(_by_matrix_root(features, reference), rel=1e-7, abs=1e-7)
    assert found.samples is None


@pytest.mark.parametrize("factor", [1.0, 0.3, 4.0])
def test_it_is_the_closed_form_of_independent_gaussians(factor: float) -> None:
    """|m₁ − m₂|² + Σ (s₁ − s₂)², with sample means and covariances that are exactly these."""
    generator = np.random.default_rng(5)
    white = generator.normal(size=(40, 4))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    spread, mean = np.array([1.0, 2.0, 0.5, 3.0]), np.array([0.0, 1.0, -1.0, 2.0])
    reference = Gaussian(np.zeros(4), np.diag((factor * spread) ** 2))
    found = FrechetDistance(reference).scores(white * spread + mean)
    assert found.value == pytest.approx(6.0 + ((1 - factor) ** 2) * (spread**2).sum(), rel=1e-9)


def test_golden_value_of_two_covariances_that_do_not_commute() -> None:
    """tr(A + B − 2 (A B)^½) of 2 x 2 matrices is tr A + tr B − 2 √(tr A B + 2 √(det A det B))."""
    a, b = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[4.0, -1.0], [-1.0, 1.0]])
    white = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * np.sqrt(0.75)
    features = white @ np.linalg.cholesky(a).T
    expected = 5 + 5 - 2 * np.sqrt(np.trace(a @ b) + 2 * np.sqrt(5.0 * 3.0))
    assert FrechetDistance(Gaussian(np.zeros(2), b)).scores(features).value == pytest.approx(expected, rel=1e-12)


def test_fewer_samples_than_features_and_a_flat_reference() -> None:
    """The root's trace is the nuclear norm of A B, where A'A and B'B are the covariances."""
    generator = np.random.default_rng(0)
    features, reference = _mixed(generator, 9, 20, 0.5), _mixed(generator, 15, 20)
    found = FrechetDistance(Gaussian.of(reference)).scores(features)
    own, theirs = ((x - x.mean(0)) / np.sqrt(len(x) - 1) for x in (features, reference))
    nuclear = np.linalg.svd(own @ theirs.T, compute_uv=False).sum()
    shift = features.mean(0) - reference.mean(0)
    expected = shift @ shift + (own**2).sum() + (theirs**2).sum() - 2 * nuclear
    assert found.value == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(found.stderr) and found.stderr > 0


def test_the_reference_is_at_distance_zero_of_itself() -> None:
    reference = _mixed(np.random.default_rng(1), 50, 8)
    assert FrechetDistance(Gaussian.of(reference)).scores(reference).value == pytest.approx(0, abs=1e-9)


def test_a_single_sample_is_a_point_without_an_error() -> None:
    found = FrechetDistance(Gaussian(np.zeros(2), np.diag([4.0, 9.0]))).scores(np.array([[3.0, 4.0]]))
    assert found.value == pytest.approx(25 + 13)
    assert found.stderr == np.inf


def test_replicates_are_the_derivative_by_the_samples_weights() -> None:
    """Each sample's influence against the difference quotient of the distance of weighted moments."""
    generator = np.random.default_rng(2)
    rows, reference = _mixed(generator, 30, 5, 0.3), Gaussian.of(_mixed(generator, 40, 5))
    distance = FrechetDistance(reference)
    _, influence = distance._distance(rows)

    def weighted(weights: Array) -> float:
        mean = weights @ rows
        covariance = (rows - mean).T @ (weights[:, None] * (rows - mean)) * 30 / 29
        root = scipy.linalg.sqrtm(covariance @ reference.covariance)
        trace = np.trace(covariance + reference.covariance - 2 * np.real(root))
        return float(((mean - reference.mean) ** 2).sum() + trace)

    for sample in (0, 11, 29):
        step = 1e-4 * (np.eye(30)[sample] - 1 / 30)
        even = np.full(30, 1 / 30)
        quotient = (weighted(even + step) - weighted(even - step)) / 2e-4
        # The unbiased covariance counts n / (n - 1) samples, which the influence leaves out of its second order.
        assert quotient == pytest.approx(influence[sample], rel=0.1, abs=0.02 * np.abs(influence).max())
    assert influence.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("width", "count", "shift"), [(4, 200, 0.5), (16, 400, 0.1), (32, 300, 0.0)])
def test_the_error_is_the_spread_over_fresh_samples(width: int, count: int, shift: float) -> None:
    generator = np.random.default_rng(3)
    reference = FrechetDistance(Gaussian.of(_mixed(generator, 4000, width)))
    found = [reference.scores(1.1 * _mixed(generator, count, width, shift)) for _ in range(150)]
    spread = np.std([one.value for one in found], ddof=1)
    assert 0.85 < np.median([one.stderr for one in found]) / spread < 1.6  # errs to the safe side


def test_paired_differences_cover_the_truth() -> None:
    """Two generators of one noise, over fresh noise: the error of the difference is its spread, and far smaller."""
    generator = np.random.default_rng(4)
    reference = FrechetDistance(Gaussian.of(_mixed(generator, 4000, 8)))
    gains, errors, single = [], [], []
    for _ in range(150):
        noise = _mixed(generator, 300, 8)
        better, worse = reference.scores(1.20 * noise), reference.scores(1.25 * noise)
        gain, error = worse.difference(better)
        gains.append(gain)
        errors.append(error)
        single.append(worse.stderr)
    assert 0.8 < np.median(errors) / np.std(gains, ddof=1) < 1.3
    assert np.median(errors) < 0.4 * np.median(single)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (Gaussian(np.zeros(3), np.eye(2)), r"mean has shape \(3,\) and its covariance \(2, 2\)"),
        (Gaussian(np.array([np.nan]), np.eye(1)), "is not finite; check its images"),
    ],
)
def test_unusable_statistics_are_refused(reference: Gaussian, text: str) -> None:
    with pytest.raises(InputError, match=text):
        FrechetDistance(reference)
