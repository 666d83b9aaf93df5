"""Nested MAP: who merges with whom, what that costs, and that nothing is paid twice."""

from __future__ import annotations

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.search._map.climb import reach_of
from mergesearch.search._map.tree import Node, dataset_evaluations, leaf_pairs, merged, tree
from mergesearch.search.history import History
from mergesearch.search.nested_map import NestedMap, preferred
from mergesearch.spaces.box import Box
from mergesearch.spaces.per import Per
from mergesearch.spaces.quantised import Quantised
from mergesearch.spaces.space import Space
from mergesearch.spaces.subset import Subset

from .map_truth import Truth, search

# Accuracies of the single experts on their own tasks, in percent, as published with nested MAP.
SCORES = {
    "SUN397": 74.86,
    "Cars": 78.87,
    "DTD": 76.60,
    "SVHN": 96.50,
    "EuroSAT": 98.78,
    "GTSRB": 99.96,
    "MNIST": 99.60,
    "RESISC45": 96.56,
}
FOUR = ["SUN397", "Cars", "DTD", "SVHN"]


def planned(names: list[str], balanced: bool) -> Node:
    return tree([SCORES[name] for name in names], ["percent"] * len(names), balanced)


def first_pair(root: Node, names: list[str]) -> set[str]:
    return {names[leaf] for leaf in root.merges[0].leaves}


@pytest.mark.parametrize("balanced", [False, True])
def test_nearest_scores_are_merged_first(balanced: bool) -> None:
    assert first_pair(planned(FOUR, balanced), FOUR) == {"SUN397", "DTD"}
    names = list(SCORES)
    pairs = {frozenset(names[leaf] for leaf in node.leaves) for node in planned(names, balanced).merges}
    assert frozenset({"SVHN", "RESISC45"}) in pairs


def test_four_members_make_a_chain_unless_balanced() -> None:
    chain, balanced = planned(FOUR, balanced=False), planned(FOUR, balanced=True)
    assert (chain.depth, balanced.depth) == (3, 2)
    assert [len(node.leaves) for node in chain.merges] == [2, 3, 4]


@pytest.mark.parametrize(("members", "in_balance", "in_chain"), [(4, 160, 180), (8, 480, 700)])
def test_dataset_evaluations(members: int, in_balance: int, in_chain: int) -> None:
    """20 samples a merge: N log N when balanced; a chain costs N(N + 1)/2 - 1, a joint surrogate N for each sample."""
    names = list(SCORES)[:members]
    assert dataset_evaluations(planned(names, balanced=True), 20) == in_balance
    chain = Node((0,))
    for leaf in range(1, members):
        chain = merged(chain, Node((leaf,)))
    assert dataset_evaluations(chain, 20) == in_chain


@pytest.mark.parametrize("members", [4, 8])
def test_second_preference_does_not_pay_for_leaf_pairs(members: int) -> None:
    root = planned(list(SCORES)[:members], balanced=True)
    again = dataset_evaluations(root, 20, known=leaf_pairs(root))
    assert dataset_evaluations(root, 20) - again == 20 * members


def test_mixed_units_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"score 78.87 is a percent and score 0.71 a fraction; .* give all in one unit"
    ):
        tree([78.87, 76.6, 0.71], ["percent", "percent", "fraction"])


def test_ties_are_merged_in_order() -> None:
    assert tree([1.0, 1.0, 1.0], ["fraction"] * 3).leaves == (2, 0, 1)
    assert tree([0.5], ["fraction"]).merges == []


@pytest.mark.parametrize("space", [Box(4), Per(Box(4), 2)], ids=["one group", "two groups"])
def test_a_run_is_accounted_for(space: Space) -> None:
    """Three merges of 20 samples and the answer; a second preference shares the two pairs' samples."""
    truth = Truth(4)
    one = NestedMap(seed=0, preferences=[[1, 1, 1, 1]], balanced=True)
    history = search(one, truth, 1000, gradients=False, space=space)
    assert len(history) == 6 + 3 * 20 + 1
    assert len(np.unique(history.x, axis=0)) == len(history)
    both = NestedMap(seed=0, preferences=[[1, 1, 1, 1], [5, 1, 1, 1]], balanced=True)
    longer = search(both, truth, 1000, gradients=False, space=space)
    assert len(longer) == len(history) + 20 + 1
    assert np.array_equal(longer.x[: len(history)], history.x)
    assert len(both.answers(longer)) == 2
    assert np.array_equal(both.answers(longer)[0], one.answers(history)[0])
    assert len(both.answers(history)) == 1


def test_samples_of_a_pair_leave_the_others_out() -> None:
    history = search(NestedMap(seed=0, balanced=True), Truth(4), 26, gradients=False)
    used = (np.abs(history.x[6:]) > 0).sum(axis=1)
    assert used.tolist() == [2] * 20


@pytest.mark.parametrize("gradients", [False, True])
def test_preferences_are_answered(gradients: bool) -> None:
    """Who cares for one objective more gets more of it."""
    truth = Truth(4)
    searcher = NestedMap(seed=0, preferences=[[8, 1, 1, 1], [1, 1, 1, 8]], balanced=True, gradients="used")
    history = search(searcher, truth, 1000, gradients)
    first, last = truth.losses(np.array(searcher.answers(history)))
    assert first[0] < last[0] - 0.02
    assert last[3] < first[3] - 0.02
    uniform = truth.losses(np.full((1, 4), 0.25))[0]
    assert first @ [8, 1, 1, 1] < uniform @ [8, 1, 1, 1]


def test_preferred_points() -> None:
    scaled = np.array([[0.0, 1.0], [0.55, 0.55], [1.0, 0.0]])
    assert preferred(scaled, np.array([0.5, 0.5]), "chebyshev").argmin() == 1
    assert preferred(scaled, np.array([0.5, 0.5]), "linear").argmin() != 1
    assert preferred(scaled, np.array([0.9, 0.1]), "linear").argmin() == 0


def test_a_space_without_members_is_refused() -> None:
    with pytest.raises(InputError, match="does not contain member 0 alone, from which nested MAP starts; widen it"):
        search(NestedMap(), Truth(2), 10, gradients=False, space=Box(2, 0.2, 0.8))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"samples": 2}, "samples is 2; give at least 3 merges for each node"),
        ({"preferences": [[0, 0]]}, r"preference \[0, 0\] is none; give weights, none negative and not all zero"),
        ({"preferences": [[1, -1]]}, r"preference \[1, -1\] is none"),
    ],
)
def test_options_out_of_range(options: dict[str, object], text: str) -> None:
    with pytest.raises(InputError, match=text):
        NestedMap(**options)  # type: ignore[arg-type]


def test_preferences_of_another_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"preference \[1, 2, 3\] has 3 weights for 2 objectives"):
        search(NestedMap(preferences=[[1, 2, 3]]), Truth(2), 10, gradients=False)


def test_what_has_no_merges_or_no_sense_is_refused() -> None:
    """Spaces and options that nested MAP cannot follow, before anything is evaluated."""
    empty = np.empty((0, 2))
    for space in (Subset(2), Quantised(Box(2, 0.0, 1.0), 0.5)):
        history = History(space, 0, empty, empty, empty, np.empty((0, 0)))
        with pytest.raises(InputError, match="contains no merges in any ratio"):
            NestedMap().ask(history)
    with pytest.raises(InputError, match="choice is 'lin'; give chebyshev or linear"):
        NestedMap(choice="lin")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"scale is \[3.0, 1.0\]; give"):
        NestedMap(scale=[3.0, 1.0])


def test_merges_beyond_the_bounds_count_where_they_were_evaluated() -> None:
    """A row that the space holds only a part of is known by that part."""
    x, part = reach_of(Box(2, 0.0, 1.0), np.array([1.6, 0.4]))
    assert 0 < part < 1
    np.testing.assert_allclose(x, part * np.array([1.6, 0.4]))
    assert reach_of(Box(2, 0.0, 1.0), np.array([0.3, 0.4]))[1] == 1.0
