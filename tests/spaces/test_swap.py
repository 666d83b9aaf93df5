"""Layer swapping: the profile over depth, and the space of its boundaries."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.spaces.profile import levels, swapped
from mergesearch.spaces.swap import Swap

OUTER, MIDDLE = np.array([1.0, 0.0]), np.array([0.0, 1.0])
SIX = np.arange(6)
DEPTHS = np.array([0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0])  # input, five layers, output


@pytest.mark.parametrize(
    ("bottom", "top", "zone", "of_the_middle"),
    [
        (0, 0, 0, [1, 1, 1, 1, 1, 1]),
        (1, 2, 0, [0, 1, 1, 1, 0, 0]),
        (1, 1, 1, [0, 0.5, 1, 1, 0.5, 0]),
        (0, 2, 1, [0.5, 1, 1, 0.5, 0, 0]),
        (2, 0, 2, [0, 0, 0.5, 0.5, 0.5, 0.5]),
        (4, 2, 0, [0, 0, 0, 0, 0, 0]),
    ],
)
def test_profiles(bottom: int, top: int, zone: int, of_the_middle: list[float]) -> None:
    table = swapped(SIX, OUTER, MIDDLE, bottom, top, zone)
    assert table.members[:, 1].tolist() == of_the_middle
    assert (table.members.sum(axis=1) == 1).all()


def test_groups_of_one_depth_go_together() -> None:
    """Also where the mean over a group's tensors is rounded."""
    assert levels(DEPTHS).tolist() == [0, 0, 1, 2, 3, 4, 4]
    assert levels(np.array([0.1 + 0.2, 0.3, 1.0])).tolist() == [0, 0, 1]


def test_too_many_layers_are_refused() -> None:
    with pytest.raises(InputError, match="4 layers at the bottom, 3 at the top do not fit into 6; give fewer"):
        swapped(SIX, OUTER, MIDDLE, 4, 3)
    with pytest.raises(InputError, match="2 layers at the bottom, 1 at the top and twice 2 between do not fit into 6"):
        swapped(SIX, OUTER, MIDDLE, 2, 1, 2)
    with pytest.raises(InputError, match=r"all groups lie at one depth; set space.groups to layers"):
        levels(np.array([0.5, 0.5]))


def test_every_profile_is_in_the_space_once() -> None:
    """Each pair of boundaries has an equal part of the first two coordinates, and each zone of the third."""
    space = Swap(2, DEPTHS)
    found = {
        (bottom, top, zone): space.vector(swapped(levels(DEPTHS), OUTER, MIDDLE, bottom, top, zone))
        for bottom in range(6)
        for top in range(6 - bottom)
        for zone in range((5 - bottom - top) // 2 + 1)
    }
    vectors = [x for x in found.values() if x is not None]
    assert len(vectors) == len(found)
    tables = {space.table(x).digest() for x in vectors}
    all_outer = [key for key in found if key[0] + key[1] == 5]
    assert len(tables) == len(found) - len(all_outer) + 1


def test_uniform_vectors_are_uniform_boundaries() -> None:
    space, side = Swap(2, DEPTHS), (np.arange(96) + 0.5) / 96
    chosen = Counter(space.table(np.array([a, b, 0.0])).digest() for a in side for b in side)
    assert len(chosen) == 16  # 5 + 4 + 3 + 2 + 1 with a layer between, and one without
    shares = np.array(list(chosen.values())) / 96**2
    np.testing.assert_allclose(shares, 1 / 16, atol=0.01)


def test_who_is_swapped() -> None:
    at = np.full(3, 0.3)
    first = Swap(["math", "code"], DEPTHS).table(at)
    assert first == Swap(["math", "code"], DEPTHS, middle="code").table(at)
    assert first == Swap(["math", "code"], DEPTHS, outer="math").table(at)
    turned = Swap(["math", "code"], DEPTHS, outer="code").table(at)
    assert np.array_equal(turned.members, first.members[:, ::-1])
    with_base = Swap(["math"], DEPTHS, outer="base").table(at)
    assert np.array_equal(with_base.members[:, 0], first.members[:, 1])


@pytest.mark.parametrize(
    ("pair", "text"),
    [
        ((None, None), "layers are swapped between two of 3 members; name them as 'outer' and 'middle'"),
        (("math", "math"), "'outer' and 'middle' are both 'math', which swaps nothing; name two different models"),
        (("mth", "code"), "no member is called 'mth'; did you mean 'math'?"),
    ],
)
def test_refused(pair: tuple[str | None, str | None], text: str) -> None:
    with pytest.raises(InputError) as error:
        Swap(["math", "code", "chat"], DEPTHS, *pair)
    assert text in str(error.value)
