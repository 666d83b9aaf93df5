"""The greedy soup's pass, on scripted scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mergesearch.search.greedy import Greedy, Subset, best_soup, next_soup
from mergesearch.search.history import History
from mergesearch.spaces.canonical import soup
from mergesearch.spaces.per import Per
from mergesearch.spaces.subset import Subset as SubsetSpace


def passed(score: Callable[[Subset], float], members: int, margin: float = 0.0) -> tuple[Subset, list[Subset]]:
    """The best soup and the order of soups scored."""
    scores: dict[Subset, float] = {}
    errors: dict[Subset, float] = {}
    while (wanted := next_soup(scores, members, errors, margin)) is not None:
        scores[wanted], errors[wanted] = score(wanted), 0.1
    return best_soup(scores, members, errors, margin), list(scores)


def of(*indices: int) -> Subset:
    return frozenset(indices)


def test_members_first_then_by_falling_score() -> None:
    single = {0: 0.5, 1: 0.9, 2: 0.7}
    best, order = passed(lambda s: max(single[i] for i in s) + 0.01 * len(s), 3)
    assert order == [of(0), of(1), of(2), of(1, 2), of(0, 1, 2)]
    assert best == of(0, 1, 2)


def test_a_member_that_hurts_stays_out() -> None:
    best, order = passed(lambda s: -1.0 if s >= {0, 1} else 0.1 * len(s) - 0.01 * min(s), 3)
    assert order[-2:] == [of(0, 1), of(0, 2)]
    assert best == of(0, 2)


def test_single_member_where_all_additions_hurt() -> None:
    assert passed(lambda s: -len(s) + 0.1 * max(s), 4)[0] == of(3)


def test_equal_scores_are_no_improvement() -> None:
    assert passed(lambda s: 1.0, 3)[0] == of(2)


def test_it_goes_through_72_members_as_the_published_pass_does() -> None:
    """The published order of the first ten and the last four, of which 4 and 5 are copies of one model."""
    known = [43, 44, 69, 48, 63, 27, 34, 60, 54, 70]
    worst = [5, 4, 31, 0]
    order = [*known, *(index for index in range(71, -1, -1) if index not in {*known, *worst}), *worst]
    quality = {index: 0.8305 - 0.0005 * rank for rank, index in enumerate(order)}
    quality[4] = quality[5]
    helpful = {43, 69, 27, 4}

    def score(soup: Subset) -> float:
        if len(soup) == 1:
            return quality[min(soup)]
        return 0.8305 + 0.001 * len(soup & helpful) - 0.001 - 0.002 * len(soup - helpful - {44})

    best, scored = passed(score, 72)
    assert scored[:72] == [of(index) for index in range(72)], "every member on its own"
    candidates = scored[72:]
    assert len(candidates) == 71
    added, held = [43], of(43)
    for candidate in candidates:
        (new,) = candidate - held
        added.append(new)
        held = candidate if score(candidate) > score(held) else held
    assert added == order, "5 before 4: of equal scores the last comes first"
    assert 44 not in best, "equal is no improvement"
    assert best == held == of(*helpful)
    assert score(best) >= 0.8305


def test_margin_asks_for_more_than_noise() -> None:
    gain = lambda s: 0.15 * len(s)  # noqa: E731  # each member adds 0.15, with a standard error of 0.1
    assert passed(gain, 3, margin=1.0)[0] == of(0, 1, 2)
    assert passed(gain, 3, margin=2.0)[0] == of(2)


def test_scores_never_fall_along_the_pass() -> None:
    rng = np.random.default_rng(0)
    table: dict[Subset, float] = {}
    best, _ = passed(lambda s: table.setdefault(s, float(rng.normal())), 6)
    assert table[best] >= max(table[of(i)] for i in range(6))


def test_empty_until_all_members_have_scores() -> None:
    assert best_soup({of(0): 1.0}, 2) == frozenset()


def test_one_member() -> None:
    assert passed(lambda s: 0.3, 1) == (of(0), [of(0)])


@pytest.mark.parametrize(("failed", "last"), [(of(1), [of(0, 2), of(0, 1, 2)]), (of(0, 1), [of(0, 1), of(0, 2)])])
def test_searcher_passes_over_failed_soups(failed: Subset, last: list[Subset]) -> None:
    """In the searcher a soup without a score is no improvement, and is not proposed again."""
    space = Per(SubsetSpace(3), 2)
    x, losses, unscored, order = np.empty((0, 6)), np.empty((0, 2)), np.empty((0, 6)), []
    for number in range(20):
        none = np.empty((len(x), 0))
        proposal = Greedy().propose(
            History(space, number, x, losses, 0 * losses, none, unscored), np.random.default_rng()
        )
        if proposal is None:
            break
        rows = space.table(proposal).members
        chosen = frozenset(np.flatnonzero(rows[0]).tolist())
        order.append(chosen)
        if chosen == failed:
            unscored = np.vstack([unscored, proposal])
        else:
            x, losses = np.vstack([x, proposal]), np.vstack([losses, [-len(chosen), 0.01 * min(chosen)]])
    assert order == [of(0), of(1), of(2), *last]


def test_searcher_uses_what_the_history_has() -> None:
    """Baselines are not scored again."""
    space = SubsetSpace(2)
    x = np.stack([space.vector(soup({index}, 1, 2)) for index in (0, 1)])  # type: ignore[misc]
    history = History(space, 2, x, np.array([[0.2], [0.1]]), np.zeros((2, 1)), np.empty((2, 0)))
    proposal = Greedy().propose(history, np.random.default_rng())
    assert proposal is not None
    assert proposal.tolist() == [1.0, 1.0]
