"""Against fp64 NumPy: linear merges and task arithmetic are rounded once, in every dtype."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

SHAPE = (300, 700)


def a_world(tiny: Any, dtype: torch.dtype, members: int = 4) -> Any:
    """Weights of σ = 0.02 and deltas of σ = 0.001, as fine-tuning gives them."""
    torch.manual_seed(1)
    base = (0.02 * torch.randn(SHAPE, dtype=torch.float64)).to(dtype)
    tuned = [(base.double() + 1e-3 * torch.randn(SHAPE, dtype=torch.float64)).to(dtype) for _ in range(members)]
    return tiny.World({"w": base}, [{"w": value} for value in tuned], tiny.groups_of({"w": 0}))


ROWS = {
    "uniform soup": np.full(4, 0.25),
    "task arithmetic": np.full(4, 0.3),
    "mixed": np.array([0.7, -0.4, 1.3, 0.05]),
}


@pytest.mark.parametrize("row", ROWS)
def test_fp32_is_within_one_unit_of_numpy(tiny: Any, row: str) -> None:
    """Of the last place, but for some weights near zero, where the base vanishes beside its deltas.

    There the rounding of the deltas' own sum shows: everywhere the error is below half a unit of the result and five of
    the deltas. More than 85 of 100 weights are the correctly rounded number itself.
    """
    world = a_world(tiny, torch.float32)
    live = world.live()
    live.write(world.table(ROWS[row]))
    base = world.base["w"].double().numpy()
    terms = [c * (m["w"].double().numpy() - base) for c, m in zip(ROWS[row], world.members, strict=True)]
    exact = base + sum(terms)
    value, rounded = tiny.weights(live)["w"].numpy(), exact.astype(np.float32)
    unit, error = np.abs(np.spacing(rounded)), np.abs(value - exact)
    assert np.all(error <= 0.51 * unit + 5 * 2.0**-24 * np.abs(terms).sum(axis=0))
    assert np.mean(error <= unit) > 0.96
    assert np.mean(value == rounded) > 0.85


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_correctly_rounded(tiny: Any, row: str, dtype: torch.dtype) -> None:
    """Equal to the fp64 result rounded once, but for fewer than one weight in a thousand.

    Those are ties: half-precision deltas stand on a coarse grid, and 0.7·5 units of it are 3.5. A soup has none.
    """
    world = a_world(tiny, dtype)
    live = world.live()
    table = world.table(ROWS[row])
    live.write(table)
    exact = world.merged(table)["w"]
    assert tiny.one_rounding(tiny.weights(live)["w"], exact, slack=2e-9)
    assert float((tiny.weights(live)["w"] == exact.to(dtype)).double().mean()) > (
        0.99999 if row == "uniform soup" else 0.999
    )


@pytest.mark.fp64
def test_fp64_is_summed_in_fp64(tiny: Any) -> None:
    world = a_world(tiny, torch.float64)
    live = world.live()
    table = world.table(ROWS["mixed"])
    live.write(table)
    torch.testing.assert_close(tiny.weights(live)["w"], world.merged(table)["w"], rtol=0, atol=1e-17)


def test_coefficients_are_not_rounded_to_the_weights_dtype(tiny: Any) -> None:
    """In bf16, 0.300 and 0.301 are one number; as coefficients they give different weights."""
    world = a_world(tiny, torch.bfloat16, members=1)
    live = world.live()
    live.write(world.table(0.300))
    first = tiny.weights(live)["w"]
    live.write(world.table(0.301))
    assert not torch.equal(tiny.weights(live)["w"], first)
