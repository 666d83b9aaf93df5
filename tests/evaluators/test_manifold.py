"""Precision and recall against their definition, and their errors against the spread over fresh samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mergesearch.evaluators._images.manifold import precision, radii, recall

Array = np.ndarray[Any, np.dtype[np.float64]]


def _points(count: int, width: int, seed: int, shift: float = 0.0, scale: float = 1.0) -> torch.Tensor:
    drawn = np.random.default_rng(seed).normal(size=(count, width))
    return torch.from_numpy((scale * drawn + shift).astype(np.float32))


def _inside(queries: Array, points: Array, neighbours: int) -> Array:
    """The definition, one pair at a time."""
    found = []
    for query in queries:
        hit = False
        for number, point in enumerate(points):
            others = sorted(np.linalg.norm(point - np.delete(points, number, axis=0), axis=1))
            hit |= bool(np.linalg.norm(query - point) <= others[neighbours - 1])
        found.append(hit)
    return np.array(found)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0, 2))
def test_they_are_the_definition(seed: int, neighbours: int, shift: float) -> None:
    real, drawn = _points(15, 3, seed), _points(12, 3, seed + 1, shift)
    found = precision(drawn, real, radii(real, neighbours))
    assert found.samples is not None and found.replicates is None
    assert found.samples.tolist() == _inside(drawn.double().numpy(), real.double().numpy(), neighbours).tolist()
    covered = _inside(real.double().numpy(), drawn.double().numpy(), neighbours)
    assert recall(drawn, real, neighbours).value == pytest.approx(covered.mean())


def test_an_example_by_hand() -> None:
    """On a line, with the nearest neighbour: balls of radius 1 about 0 and 1, of 4 about 5."""
    real = torch.tensor([[0.0], [1.0], [5.0]])
    assert radii(real, 1).tolist() == [1.0, 1.0, 4.0]
    drawn = torch.tensor([[-1.5], [-0.5], [3.0], [9.5]])
    found = precision(drawn, real, radii(real, 1))
    assert found.samples is not None and found.samples.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert recall(drawn, real, 1).value == 1.0  # balls of 1, 1, 3.5 and 6.5 reach 0, 0, 1 and 5, and 5
    assert recall(drawn[:2], real, 1).value == pytest.approx(1 / 3)


def test_more_points_than_one_block_of_distances() -> None:
    real, drawn = _points(2500, 2, 0), _points(2100, 2, 1, 0.5)
    own = torch.cdist(real.double(), real.double()).sort(dim=1).values[:, 3]
    np.testing.assert_allclose(radii(real, 3).numpy(), own.numpy(), rtol=1e-3, atol=1e-4)
    inside = (torch.cdist(drawn.double(), real.double()) <= own).any(dim=1)
    assert precision(drawn, real, radii(real, 3)).value == pytest.approx(float(inside.double().mean()), abs=2e-3)


def test_few_points_have_the_radii_that_there_are() -> None:
    real = _points(30, 2, 0)
    assert radii(real[:1], 3).tolist() == [0.0]
    assert radii(real[:3], 3).tolist() == torch.cdist(real[:3], real[:3]).max(dim=1).values.tolist()
    single = recall(real[:1] + 0.1, real, 3)
    assert single.value == 0 and single.stderr == np.inf
    for count in (2, 3, 4):
        assert np.isfinite(recall(real[:count], real, 3).stderr)


@pytest.mark.parametrize(("scale", "count"), [(0.5, 200), (0.8, 300), (0.3, 151)])
def test_the_error_of_recall_is_the_spread_over_fresh_samples(scale: float, count: int) -> None:
    real = _points(200, 4, 0)
    found = [recall(_points(count, 4, 1 + seed, scale=scale), real, 3) for seed in range(80)]
    spread = np.std([one.value for one in found], ddof=1)
    assert 0.7 < np.median([one.stderr for one in found]) / spread < 1.5


def test_recall_is_paired_between_candidates() -> None:
    real, noise = _points(200, 4, 0), _points(300, 4, 1)
    first, second = recall(0.5 * noise, real, 3), recall(0.52 * noise, real, 3)
    gain, error = second.difference(first)
    assert gain == pytest.approx(second.value - first.value)
    assert error < 0.8 * second.stderr
