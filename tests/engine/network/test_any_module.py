"""Any torch module binds: convolutions, attention, running statistics, shared parameters, parameters of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, load_model, save_model
from torch import nn
from torch.nn import functional

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.export.export import export_model
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

Opened = tuple[Models, LiveModel, list[dict[str, torch.Tensor]]]


class Zoo(nn.Module):
    """Images, `n x 2 x 6 x 6`, to codes and back; encoder and decoder share their convolution."""

    mean: torch.Tensor
    window: torch.Tensor
    order: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.encode = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Conv2d(8, 8, 1, groups=2), nn.GroupNorm(2, 8)) for _ in range(2))
        self.again = self.blocks[0]
        self.decode = nn.ConvTranspose2d(8, 2, 3, padding=1)
        self.decode.weight = self.encode.weight
        self.register_buffer("mean", torch.linspace(-1, 1, 2))
        self.register_buffer("window", torch.ones(6), persistent=False)
        self.register_buffer("order", torch.tensor([1, 0]))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the images that the codes give."""
        hidden = self.norm(self.encode(images[:, self.order] - self.mean[:, None, None]))
        for block in [*self.blocks, self.again]:
            hidden = hidden + block(hidden)
        tokens = hidden.flatten(2).transpose(1, 2)
        mixed, _ = self.attend(tokens, tokens, tokens)
        hidden = functional.gelu(mixed.transpose(1, 2).unflatten(2, (6, 6))) * self.window
        decoded: torch.Tensor = self.decode(self.gain * hidden)
        return decoded


def network() -> Any:
    """The untrained module, always with the same weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Zoo().eval()


def trained(seed: int) -> Any:
    """A module near it: every tensor moved, running statistics, too."""
    generator = torch.Generator().manual_seed(seed)
    model = network()
    with torch.no_grad():
        for tensor in [*model.parameters(), model.norm.running_mean, model.norm.running_var, model.mean]:
            tensor += 0.05 * torch.randn(tensor.shape, generator=generator).abs()
        model.norm.num_batches_tracked += seed
    return model


@pytest.fixture(params=["safetensors", "pt"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, device: torch.device) -> Opened:
    """Base and two members in files of one kind; safetensors keeps one name of what is shared."""
    models = [network(), trained(1), trained(2)]
    for name, model in zip(("base", "a", "b"), models, strict=True):
        path = tmp_path / f"{name}.{request.param}"
        if request.param == "pt":
            torch.save(model.state_dict(), path)
        else:
            save_model(model, str(path))
    paths = [str(tmp_path / f"{name}.{request.param}") for name in ("base", "a", "b")]
    found = Models(ModelPaths(paths[0], paths[1:], network=f"{__file__}:network", device=str(device)))
    live = found.live(found.build_bank(BankOptions()), group_tensors(found.places(), "tensors"))
    return found, live, [{name: value.clone() for name, value in model.state_dict().items()} for model in models]


IMAGES = torch.linspace(-1, 1, 2 * 2 * 6 * 6).sin().reshape(2, 2, 6, 6)


def test_every_floating_tensor_is_merged_once(tiny: Any, opened: Opened) -> None:
    _, live, (base, a, b) = opened
    names = set(live.bank.names)
    assert {"gain", "encode.weight", "attend.in_proj_weight", "norm.running_var", "mean"} <= names
    assert not names & {"decode.weight", "again.0.weight", "window", "order", "norm.num_batches_tracked"}
    rows = np.random.default_rng(0).uniform(-0.5, 1.5, (len(live.groups), 2))
    live.write(CoefficientTable.of(rows))
    for name, value in tiny.weights(live).items():
        first, second = rows[live.groups.of[name]]
        start = base[name].double()
        exact = start + first * (a[name].double() - start) + second * (b[name].double() - start)
        assert tiny.one_rounding(value, exact, slack=1e-7)
    model: Any = live.model
    assert model.decode.weight is model.encode.weight and model.again is model.blocks[0]
    assert model.norm.num_batches_tracked == 0 and model.order.tolist() == [1, 0]


def test_members_compute_what_they_did(tiny: Any, opened: Opened, device: torch.device) -> None:
    _, live, _ = opened
    for column, model in enumerate([trained(1), trained(2)]):
        live.write(CoefficientTable.tied(np.eye(2)[column], len(live.groups)))
        found, expected = (one(IMAGES.to(device)).cpu() for one in (live.model, model.to(device)))
        assert tiny.same_bits(found, expected)


def test_gradients_flow_through_all_of_it(opened: Opened, device: torch.device) -> None:
    """Against differences of the loss itself, in one group of each kind."""
    _, live, _ = opened
    rows = np.full((len(live.groups), 2), 0.4)
    live.write(CoefficientTable.of(rows))
    with live.pullback() as gradient:
        live.model(IMAGES.to(device)).cpu().double().square().sum().backward()
    for name in ("gain", "encode.weight", "attend.in_proj_weight", "blocks.0.0.weight", "norm.weight"):
        group, losses = live.groups.of[name], []
        for step in (1e-2, -1e-2):
            moved = rows.copy()
            moved[group, 1] += step
            live.write(CoefficientTable.of(moved))
            with torch.no_grad():
                losses.append(float(live.model(IMAGES.to(device)).cpu().double().square().sum()))
        slope = (losses[0] - losses[1]) / 2e-2
        assert abs(slope) > 1e-3 and gradient.members[group, 1] == pytest.approx(slope, rel=2e-2)


def test_the_export_loads_into_a_new_module(tiny: Any, opened: Opened, tmp_path: Path) -> None:
    models, live, _ = opened
    live.write(CoefficientTable.tied(np.array([0.3, 0.6]), len(live.groups)))
    export_model(live, models.base, tmp_path / "merged", {"trial": 1})
    again = network()
    if len(models.base_checkpoint.headers) == len(again.state_dict()):
        again.load_state_dict(load_file(tmp_path / "merged" / "model.safetensors"))
    else:
        load_model(again, str(tmp_path / "merged" / "model.safetensors"))
    state = again.state_dict()
    assert all(tiny.same_bits(state[name], value) for name, value in tiny.weights(live).items())
    assert again.decode.weight is again.encode.weight
