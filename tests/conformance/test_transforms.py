"""Laws that every transform keeps. A new transform is found by its file and joins without an edit here."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest
import torch

from mergesearch.engine.transforms.dare import Dare
from mergesearch.engine.transforms.ties import Ties
from mergesearch.engine.transforms.transform import Transform
from mergesearch.engine.transforms.trim import Trim
from mergesearch.errors import InputError
from mergesearch.plugins import load_plugin, plugin_names

ROOM = "mergesearch.engine.transforms"
TRANSFORMS = plugin_names(ROOM, Transform)
SHAPES = ((), (1,), (0,), (7,), (5, 13), (2, 3, 4), (4097,))


@pytest.fixture(params=TRANSFORMS)
def name(request: pytest.FixtureRequest) -> str:
    """Name of a transform, one after another."""
    return str(request.param)


@pytest.fixture
def transform(name: str) -> Transform:
    """The transform of that name, with its default options."""
    return load_plugin(name, ROOM, Transform)()


def deltas(shape: tuple[int, ...], members: int = 3, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(len(shape) + members)
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(members)]


def test_every_transform_is_tested() -> None:
    """These are the transforms there are; a file without one would be found here."""
    assert {"dare", "ties", "trim"} <= set(TRANSFORMS)


@pytest.mark.parametrize("members", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_and_dtypes_stay_and_inputs_too(
    transform: Transform, shape: tuple[int, ...], dtype: torch.dtype, members: int
) -> None:
    given = deltas(shape, members, dtype)
    before = [delta.clone() for delta in given]
    result = transform.apply("w", given)
    assert len(result) == members
    assert all(after.shape == torch.Size(shape) and after.dtype == dtype for after in result)
    assert all(torch.isfinite(after).all() for after in result)
    assert all(torch.equal(delta, kept) for delta, kept in zip(given, before, strict=True))


def test_results_do_not_depend_on_the_order_of_tensors(transform: Transform) -> None:
    """Nor on what was transformed before; another tensor of the same deltas may differ."""
    first = {name: transform.apply(name, deltas((5, 13))) for name in ("a", "b", "c")}
    again = {name: transform.apply(name, deltas((5, 13))) for name in ("c", "a", "b")}
    for name, results in first.items():
        assert all(torch.equal(one, other) for one, other in zip(results, again[name], strict=True))


ANOTHER_PROCESS = """
import sys, torch
from mergesearch.engine.transforms.transform import Transform
from mergesearch.plugins import load_plugin
transform = load_plugin(sys.argv[1], "mergesearch.engine.transforms", Transform)()
given = [torch.arange(-30.0, 70.0) * (n + 1) for n in range(3)]
print([value for result in transform.apply("w", given) for value in result.tolist()])
"""


def test_results_are_the_same_in_another_process(name: str, transform: Transform) -> None:
    done = subprocess.run([sys.executable, "-c", ANOTHER_PROCESS, name], capture_output=True, text=True, check=True)
    given = [torch.arange(-30.0, 70.0) * (n + 1) for n in range(3)]
    assert done.stdout.strip() == str([value for result in transform.apply("w", given) for value in result.tolist()])


def test_repr_shows_every_option(name: str, transform: Transform) -> None:
    """It is part of the weights' identity: two transforms of other options must not look alike."""
    options = inspect.signature(type(transform).__init__).parameters
    for option, parameter in list(options.items())[1:]:
        assert parameter.default is not parameter.empty, "every option has a default"
        assert f"{option}={parameter.default}" in repr(transform)
    assert repr(transform).startswith(type(transform).__name__)
    assert repr(load_plugin(name, ROOM, Transform)()) == repr(transform)


@pytest.mark.parametrize("members", [1, 2, 7])
def test_canonical_row_has_one_number_per_member(transform: Transform, members: int) -> None:
    row = transform.canonical_row(members)
    assert len(row) == members
    assert all(isinstance(number, float) for number in row)


@pytest.mark.parametrize("density", [0.0, -0.1, 1.1, float("nan")])
def test_density_outside_its_range_is_refused(name: str, density: float) -> None:
    kind = load_plugin(name, ROOM, Transform)
    if "density" in inspect.signature(kind.__init__).parameters:
        with pytest.raises(InputError, match=rf"density {density} is not in \(0, 1\]; it is the fraction of deltas"):
            kind(density=density)  # type: ignore[call-arg]


D1, D2, D3 = torch.tensor([3.0, -1.0, 0.5, 2.0]), torch.tensor([-2.5, -4.0, 0.2, 2.0]), torch.tensor([1, 0.1, -3, -1.5])


@pytest.mark.parametrize(
    ("transform", "row", "expected"),
    [
        (Ties(0.5), [1.0, 1.0, 1.0], [3.0, -4.0, -3.0, 2.0]),
        (Ties(0.5), [0.1, 1.0, 1.0], [0.3, -4.0, -3.0, 0.2]),
        (Trim(0.5), [1.0, 1.0, 1.0], [0.5, -4.0, -3.0, 0.5]),
        (Trim(1.0), [1.0, 1.0, 1.0], [1.5, -4.9, -2.3, 2.5]),
        (Dare(1.0), [1.0, 1.0, 1.0], [1.5, -4.9, -2.3, 2.5]),
    ],
    ids=repr,
)
def test_hand_examples(transform: Transform, row: list[float], expected: list[float]) -> None:
    merged = sum(c * t for c, t in zip(row, transform.apply("w", [D1, D2, D3]), strict=True))
    torch.testing.assert_close(merged, torch.tensor(expected))


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.3, 1.4, 0.9]])
def test_ties_equals_peft(density: float, weights: list[float]) -> None:
    """Per tensor, weighted after the election, also where deltas cancel."""
    from peft.utils.merge_utils import ties

    given = [*deltas((40, 50), 2), torch.zeros(40, 50)]
    given[1][:10] = -given[0][:10]
    theirs = ties(given, torch.tensor(weights), density)
    ours = sum(c * t for c, t in zip(weights, Ties(density).apply("w", given), strict=True))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


def test_trim_keeps_the_largest() -> None:
    """⌊density·n⌋ of them, per member, and at least one; n = 1 of TIES is trimming."""
    (delta,) = deltas((5, 13), 1)
    for density, kept in ((0.5, 32), (0.999, 64), (1.0, 65), (0.001, 1)):
        (trimmed,) = Trim(density).apply("w", [delta])
        assert int((trimmed != 0).sum()) == kept
        assert trimmed[trimmed != 0].abs().min() >= max([*delta[trimmed == 0].abs().tolist(), 0.0])
        assert torch.equal(Ties(density).apply("w", [delta])[0], trimmed)


def test_dare_is_unbiased_with_nested_masks() -> None:
    """Mean within 5σ of the delta, variance p/(1−p)·d², masks nested in the density and different by seed."""
    delta = torch.full((200_000,), 2.0)
    masks = []
    for density in (0.1, 0.5, 0.9):
        (result,) = Dare(density).apply("w", [delta])
        spread = 2.0 * ((1 - density) / density) ** 0.5
        assert abs(float(result.mean()) - 2.0) < 5 * spread / 200_000**0.5
        assert float(result.std()) == pytest.approx(spread, rel=0.02)
        masks.append(result != 0)
    assert bool((masks[0] <= masks[1]).all() and (masks[1] <= masks[2]).all())
    one, other = Dare(0.5).apply("w", [delta, delta])
    assert not torch.equal(one, other)
    assert not torch.equal(one, Dare(0.5, seed=1).apply("w", [delta])[0])
    assert not torch.equal(one, Dare(0.5).apply("v", [delta])[0])
