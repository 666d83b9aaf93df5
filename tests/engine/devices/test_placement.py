"""Models on one device and on several: one bank for each, one candidate, one gradient.

On the CPU alone there is only one device to spread over; `pytest --device cuda` takes all of that kind, and
`--device twin` two that are made of the CPU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from mergesearch.engine.bank.bank import grouped
from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.devices.devices import accelerators, device_count
from mergesearch.engine.devices.placement import Placement
from mergesearch.engine.devices.spreading import device_of, disjoint
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import Models
from mergesearch.engine.network.tensors import BaseTensors, floating_tensors
from mergesearch.errors import InputError
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

TOKENS = torch.arange(24).reshape(2, 12) % 16


@pytest.fixture(scope="session")
def every(device: torch.device) -> list[str]:
    """Names of all devices of the kind that the tests run on."""
    count = device_count(device.type)
    return [f"{device.type}:{number}" for number in range(count)] if count > 1 else [str(device)]


@pytest.fixture
def several(every: list[str]) -> list[str]:
    if len(every) < 2:
        pytest.skip("there is one device only")
    return every


@pytest.fixture(params=[False, True], ids=["untied", "tied"])
def llama(tiny: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with a base of four layers, and members `a` and `b`."""
    model = tiny.llama(tied=request.param, num_hidden_layers=4)
    model.save_pretrained(tmp_path / "base")
    for number, name in enumerate("ab"):
        tiny.save_member(tmp_path / name, model, number, sigma=0.05)
    return tmp_path


def bound(tiny: Any, folder: Path, device: Any) -> tuple[Models, LiveModel]:
    models = tiny.opened(folder, folder / "a", folder / "b", device=device)
    return models, models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "layers"))


def logits_of(live: LiveModel) -> torch.Tensor:
    where = next(iter(live.tensors().values())).device
    logits: torch.Tensor = live.model(input_ids=TOKENS.to(where), use_cache=False).logits
    assert logits.device == where
    return logits


def outcome(tiny: Any, live: LiveModel) -> tuple[dict[str, torch.Tensor], torch.Tensor, np.ndarray]:
    """Weights, logits and coefficient gradient at one table."""
    rows = np.random.default_rng(0).uniform(-0.2, 0.6, (len(live.groups), 2))
    live.write(CoefficientTable.of(rows))
    with live.pullback() as gradient:
        logits = logits_of(live)
        logits.square().mean().backward()
    return tiny.weights(live), logits.detach().cpu(), gradient.members


def assert_same(tiny: Any, one: LiveModel, other: LiveModel) -> None:
    """Weights to the bit, what is computed with them to rounding."""
    (weights, logits, slopes), (weights2, logits2, slopes2) = outcome(tiny, one), outcome(tiny, other)
    assert {name: tiny.same_bits(value, weights2[name]) for name, value in weights.items()} == dict.fromkeys(
        weights2, True
    )
    torch.testing.assert_close(logits, logits2, rtol=1e-4, atol=1e-6)
    assert np.abs(slopes).max() > 1e-4
    np.testing.assert_allclose(slopes, slopes2, rtol=1e-3, atol=1e-4 * np.abs(slopes).max())


def test_a_model_spread_by_hand_gives_the_same(tiny: Any, llama: Path, every: list[str]) -> None:
    """Layers here and there, a bank on each device, and the module's tensors are views into it."""
    first, last = every[0], every[-1]
    spread = {"": first, "model.layers.1": last, "model.layers.2": last}
    _, alone = bound(tiny, llama, "cpu")
    models, live = bound(tiny, llama, spread)
    assert list(map(str, live.bank.devices)) == list(dict.fromkeys([first, last]))
    assert live.bank.fingerprint == alone.bank.fingerprint
    placed = {name: str(tensor.device) for name, tensor in floating_tensors(models.model).items()}
    assert {name for name, where in placed.items() if where == last} >= {n for n in placed if "layers.1" in n}
    assert_same(tiny, alone, live)
    for segment, buffer in zip(live.bank.segments, live.weights.buffers, strict=True):
        for slot in segment.slots:
            assert placed[slot.name] == str(segment.device) == str(buffer.device)
            assert live.tensors()[slot.name].data_ptr() == slot.view(buffer).data_ptr()


def test_transformers_spreads_a_model_itself(tiny: Any, llama: Path, several: list[str]) -> None:
    _, alone = bound(tiny, llama, "cpu")
    _, live = bound(tiny, llama, "sharded")
    assert set(map(str, live.bank.devices)) == set(several)
    assert_same(tiny, alone, live)


class Normed(nn.Module):
    """Weights, running statistics and an integer buffer."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.norm, self.head = nn.Linear(6, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)

    def forward(self, inputs: torch.Tensor) -> Any:
        hidden = self.stem(inputs)
        return self.head(hidden + self.norm(hidden))


def test_a_network_of_ones_own_is_spread_by_hand(every: list[str]) -> None:
    """Its parts compute where they are, and give back where their inputs were, as residual connections need it."""
    model, first = Normed().eval(), torch.device(every[0])
    inputs = torch.randn(5, 6)
    wanted = model(inputs)
    moved = Placement.of({"": every[0], "norm": every[-1]}).place(model)
    assert moved is model
    assert {str(t.device) for t in [*model.norm.parameters(), *model.norm.buffers()]} == {every[-1]}
    assert (model.stem.weight.device, model.head.weight.device) == (first, first)
    assert model.norm.weight.requires_grad
    found = model(inputs.to(first))
    assert found.device == first
    torch.testing.assert_close(found.cpu(), wanted, rtol=1e-5, atol=1e-6)


def test_without_accelerators_nothing_can_be_shared_out(tiny: Any, zoo: Path) -> None:
    if accelerators():
        pytest.skip("there are some")
    with pytest.raises(InputError, match="device 'sharded' shares a model out among accelerators, but there is none"):
        tiny.opened(zoo, zoo / "a", device="sharded")


def test_networks_cannot_be_shared_out(tiny: Any) -> None:
    with pytest.raises(InputError, match=r"'sharded' is for folders of transformers; say which module .* goes where"):
        Placement(None).place(tiny.normed())


@pytest.mark.parametrize(
    ("placement", "text"),
    [
        (
            {"model.layer.1": "cpu"},
            r"names the module 'model.layer.1', which the model lacks; did you mean 'model.layers",
        ),
        ({"": "cpu", "lm_head": "cpu:3"}, "device 'cpu:3' is not there"),
    ],
)
def test_placements_that_name_what_is_not_there(tiny: Any, zoo: Path, placement: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        tiny.opened(zoo, zoo / "a", device=placement)


def test_layers_and_ties_stay_together(tiny: Any, several: list[str]) -> None:
    first, last = several[:2]
    with pytest.raises(
        InputError, match=r"divides the layer 'model.layers.1', whose parts add up; name the whole layer"
    ):
        Placement.of({"": first, "model.layers.1.mlp": last}).place(tiny.llama())
    text = f"puts 'model.embed_tokens.weight' on {first} and 'lm_head.weight' on {last}, but they are one tensor"
    with pytest.raises(InputError, match=text):
        Placement.of({"": first, "lm_head": last}).place(tiny.llama(tied=True))
    Placement.of({"": first, "lm_head": last}).place(tiny.llama(tied=False))


def test_offloaded_weights_are_refused(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """Whoever offloaded them: their values are on the disk, and a candidate would be nowhere."""
    from accelerate import disk_offload

    models = tiny.opened(zoo, zoo / "a")
    names = list(floating_tensors(models.model))
    offloaded = disk_offload(tiny.llama(), str(tmp_path), execution_device=torch.device("cpu"))
    with pytest.raises(
        InputError, match=r"21 tensors .*, such as '.*', are offloaded and hold no values; spread the model"
    ):
        BaseTensors(models.base, offloaded, names)
    with pytest.raises(InputError, match="are offloaded and hold no values"):
        offloaded.hf_device_map = {}
        Placement(None).place(offloaded)


PATHS = ("", "a", "a.0", "a.0.x", "a.0.y", "a.1", "a.1.x", "ab", "ab.x", "b")


def tree() -> nn.Module:
    model = nn.Module()
    for path in PATHS[1:]:
        parent, _, name = path.rpartition(".")
        model.get_submodule(parent).add_module(name, nn.Module())
    return model


@given(named=st.dictionaries(st.sampled_from(PATHS), st.integers(0, 2)), whole=st.integers(0, 2))
def test_parts_are_disjoint_and_make_the_whole(named: dict[str, int], whole: int) -> None:
    """Every module that has no part of its own in it belongs to one part, of the innermost name's device."""
    devices = {path: torch.device("cuda", number) for path, number in {"": whole, **named}.items()}
    parts = disjoint(tree(), devices)
    for path in PATHS:
        above = [other for other in parts if not other or path == other or path.startswith(f"{other}.")]
        inner = [other for other in PATHS if other.startswith(f"{path}.") or (not path and other)]
        own = {device_of(other, devices) for other in [path, *inner]}
        assert len(above) == (1 if len(own) == 1 else 0)
        if above:
            assert parts[above[0]] == device_of(path, devices)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([torch.float32, torch.bfloat16])), max_size=8))
def test_tensors_are_grouped_by_device_and_dtype(kinds: list[tuple[int, torch.dtype]]) -> None:
    """Each is in one group, with those of its kind alone, in the given order."""
    given_kinds = {f"t{n}": (torch.device("cuda", number), dtype) for n, (number, dtype) in enumerate(kinds)}
    groups = grouped(given_kinds)
    assert sorted(name for names in groups.values() for name in names) == sorted(given_kinds)
    for kind, names in groups.items():
        assert [given_kinds[name] for name in names] == [kind] * len(names)
        assert names == sorted(names)
