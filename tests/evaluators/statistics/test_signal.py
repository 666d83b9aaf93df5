"""Signal and noise: what was put in comes out, and what all candidates share is no noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.evaluators.statistics.signal import SEPARATING, Signal, signal


def drawn(generator: np.random.Generator, spread: float, count: int, candidates: int = 15) -> list[MetricScores]:
    """Candidates that differ by `spread`, with noise 0.3 of their own on each sample, and more that they share."""
    true, shared = generator.normal(0, spread, candidates), generator.normal(0, 2.0, count)
    each = true[:, None] + shared + generator.normal(0, 0.3, (candidates, count))
    return [MetricScores.mean(row) for row in each]


@pytest.mark.parametrize("count", [50, 400])
def test_spread_and_noise_are_recovered(count: int) -> None:
    generator = np.random.default_rng(count)
    found = [signal(drawn(generator, 0.05, count, candidates=40), count) for _ in range(200)]
    assert np.sqrt(np.mean([one.spread**2 for one in found])) == pytest.approx(0.05, rel=0.1)
    assert np.mean([one.noise for one in found]) == pytest.approx(0.3 / math.sqrt(count), rel=0.02)
    assert np.median([one.needed for one in found]) == pytest.approx((SEPARATING * 0.3 / 0.05) ** 2, rel=0.15)
    assert np.mean([one.most >= 0.05 for one in found]) == pytest.approx(0.95, abs=0.04)


def test_as_many_samples_as_it_says_do_separate() -> None:
    generator = np.random.default_rng(7)
    few = [signal(drawn(generator, 0.05, 40, candidates=60), 40) for _ in range(50)]
    assert not any(one.separates for one in few)
    needed = int(np.median([one.needed for one in few]))
    ratios = [signal(drawn(generator, 0.05, needed, candidates=60), needed).ratio for _ in range(50)]
    assert np.median(ratios) == pytest.approx(SEPARATING, rel=0.1)


def test_candidates_without_a_difference() -> None:
    generator = np.random.default_rng(8)
    found = [signal(drawn(generator, 0.0, 100), 100) for _ in range(100)]
    assert not any(one.separates for one in found)
    nothing = next(one for one in found if one.spread == 0 and one.most > 0)
    assert nothing.ratio == 0 and nothing.needed == math.ceil(100 * (SEPARATING * nothing.noise / nothing.most) ** 2)
    assert Signal(3, 100, 0.0, 0.0, 0.1).needed == math.inf


def test_replicates_say_the_same_as_samples() -> None:
    generator = np.random.default_rng(9)
    plain = drawn(generator, 0.1, 300)
    boot = [MetricScores.aggregate(np.asarray(one.samples), np.mean) for one in plain]
    one, other = signal(plain, 300), signal(boot, 300)
    assert other.noise == pytest.approx(one.noise, rel=0.15) and other.spread == pytest.approx(one.spread, rel=0.05)
    boot[0] = MetricScores(boot[0].value, None, np.where(np.arange(256) < 9, np.nan, np.asarray(boot[0].replicates)))
    assert signal(boot, 300).noise == pytest.approx(other.noise, rel=0.05)


def test_no_noise_and_noise_of_which_nothing_is_known() -> None:
    shared = np.random.default_rng(10).normal(size=20)
    sure = signal([MetricScores.mean(shared + shift) for shift in (0.0, 0.5, 1.0)], 20)
    assert sure.separates and sure.needed <= 20
    single = signal([MetricScores.mean([value]) for value in (0.0, 0.5, 1.0)], 1)
    assert single.noise == math.inf and not single.separates and single.needed == math.inf
    assert signal([MetricScores.mean(shared)] * 3, 20).ratio == 0


def test_a_ratio_of_just_as_much_separates() -> None:
    assert SEPARATING == 2.0
    assert Signal(3, 100, 0.5, 0.6, 0.25).separates and Signal(3, 100, 0.5, 0.6, 0.25).needed == 100
    assert not Signal(3, 100, 0.49, 0.6, 0.25).separates
