"""Hashes of options and data."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.evaluators._digest import digest

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_equal_values_hash_alike(value: object) -> None:
    assert digest(value) == digest(value)
    assert digest(value) != digest([value])


def test_the_order_of_keys_does_not_matter_and_that_of_items_does() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({1, 2, 3}) == digest({3, 2, 1})
    assert digest([1, 2]) != digest([2, 1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (1, 1.0),
        ("1", 1),
        (np.zeros(2), np.zeros((1, 2))),
        (np.zeros(2, np.float32), np.zeros(1, np.float64)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.bfloat16)),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (functools.partial(int, base=2), functools.partial(int, base=8)),
        (Path("a"), "a"),
        (digest, Path.is_file),
    ],
)
def test_different_values_hash_differently(one: object, other: object) -> None:
    assert digest(one) != digest(other)


def test_content_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(InputError, match="cannot hash <object object"):
        digest(object())
