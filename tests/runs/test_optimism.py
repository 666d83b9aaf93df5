"""The winner's curse: its size, its sign, and what of it the samples do to all candidates."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.objectives import Objective, Objectives
from mergesearch.runs.outcome.means import Picked, WeightedMean
from mergesearch.runs.outcome.optimism import Promises
from mergesearch.runs.outcome.shortlist import Shortlist

ACCURACIES = Objectives((Objective("a", "acc", True), Objective("b", "acc", True)))
LOSSES = Objectives((Objective("a", "loss", False), Objective("b", "loss", False)))
CHOSEN = Shortlist((3, 4), 3, None, {})


def scored(shift: float, seed: int, count: int = 200) -> dict[int, Picked]:
    """Trials 0 to 4: all gain what the samples give, and each differs by noise of its own."""
    generator = np.random.default_rng(seed)
    shared = generator.random((2, count)) + shift
    return {n: [MetricScores.mean(task + 0.05 * generator.normal(size=count)) for task in shared] for n in range(5)}


def promises(objectives: Objectives, searched: dict[int, Picked], held_out: dict[int, Picked]) -> Promises:
    return Promises(WeightedMean(objectives, np.array([0.5, 0.5])), searched, held_out)


@pytest.mark.parametrize(("objectives", "word"), [(ACCURACIES, "better"), (LOSSES, "worse")])
def test_easier_samples_are_no_curse_of_the_winner(objectives: Objectives, word: str) -> None:
    """Where held-out samples are harder for all, the gap is large, but none beside the baselines."""
    found = promises(objectives, scored(0.5, 1), scored(0.0, 2))
    assert abs(found.gap(3).value) == pytest.approx(0.5, abs=0.05)
    text = found.optimism(CHOSEN, [0, 1, 2])
    assert f"on search samples trial 3's mean is {abs(found.gap(3).value):.4f} {word}" in text
    assert text.count("beyond noise") == 1 and "of the front's 2 trials" in text
    assert "Its gain over the average of the 3 baselines, which no score chose" in text and "within noise" in text
    beside = found.gap_beside(3, [0, 1, 2])
    assert beside.high - beside.low < 0.2 * (found.gap(3).high - found.gap(3).low)
    assert 0 in beside


def test_a_lucky_winner_is_found_out() -> None:
    searched, held_out = scored(0.0, 3), scored(0.0, 4)
    lucky = [MetricScores.mean(np.asarray(one.samples) + 0.1) for one in searched[3]]
    found = promises(ACCURACIES, {**searched, 3: lucky}, held_out)
    assert found.gap_beside(3, [0, 1, 2]).value == pytest.approx(0.1, abs=0.02)
    text = found.optimism(CHOSEN, [0, 1, 2])
    assert f"baselines, which no score chose, is {found.gap_beside(3, [0, 1, 2]).value:.4f} better" in text
    assert text.endswith("beyond noise) there.")


def test_interval_of_the_gap_holds_the_truth() -> None:
    gaps = [promises(ACCURACIES, scored(0.0, seed), scored(0.0, seed + 10_000)).gap(3) for seed in range(400)]
    assert np.mean([0 in gap for gap in gaps]) == pytest.approx(0.95, abs=0.03)


def test_nothing_is_said_where_nothing_can_be() -> None:
    searched = scored(0.0, 5)
    assert promises(ACCURACIES, searched, {}).optimism(CHOSEN, [0]) == ""
    assert promises(ACCURACIES, searched, searched).optimism(Shortlist((), None, 2, {}), [0]) == ""
    alone = promises(ACCURACIES, searched, scored(0.0, 6)).optimism(Shortlist((3,), 3, None, {}), [3])
    assert "baselines" not in alone and "front" not in alone and alone.endswith("noise) than on held-out ones.")
