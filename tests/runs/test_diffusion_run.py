"""A diffusion pipeline through a whole run: searched layer by layer, and published as a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.runs.api import run
from mergesearch.runs.config import Config, load_config
from mergesearch.runs.template import write_template

FUNCTION = f"{Path(__file__)}:denoising_loss"


def images(seed: int, count: int) -> torch.Tensor:
    """Smooth stripes, `count x 1 x 8 x 8`, upright (seed 0) or lying (seed 1)."""
    phases = torch.linspace(0, 6.28, count)
    waves = torch.cos(torch.arange(8) * (1.2 + 0.3 * seed) + phases[:, None])[:, None, None, :].expand(-1, 1, 8, 8)
    return waves if seed == 0 else waves.transpose(2, 3)


def noisy(clean: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a model denoises: the image with noise, the timestep, and the noise."""
    from diffusers import DDPMScheduler

    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(3))
    steps = torch.arange(len(clean)) * 37 % 1000
    return DDPMScheduler().add_noise(clean, noise, steps), steps, noise


def denoising_loss(model: Any, samples: np.ndarray, kind: int) -> dict[str, np.ndarray]:
    """Squared error of the predicted noise, per image."""
    mixed, steps, noise = noisy(images(kind, 40))
    errors = (model(mixed[samples], steps[samples]).sample - noise[samples]).square().mean(dim=(1, 2, 3))
    return {"loss": errors.double().numpy()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pipelines `base`, and `upright` and `lying` that were trained from it."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    folder = tmp_path_factory.mktemp("diffusion")
    torch.manual_seed(0)
    sizes = {"sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": (8, 8)}
    blocks = {"down_block_types": ("DownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "UpBlock2D")}
    base = UNet2DModel(**sizes, **blocks, layers_per_block=1, norm_num_groups=4, attention_head_dim=4)
    DDPMPipeline(base, DDPMScheduler()).save_pretrained(folder / "base")
    for seed, name in enumerate(("upright", "lying")):
        model = UNet2DModel.from_pretrained(folder / "base" / "unet")
        optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
        mixed, steps, noise = noisy(images(seed, 40))
        for _ in range(20):
            optimiser.zero_grad()
            (model(mixed, steps).sample - noise).square().mean().backward()
            optimiser.step()
        DDPMPipeline(model, DDPMScheduler()).save_pretrained(folder / name)
    return folder


def test_a_pipeline_is_searched_and_published(folder: Path, tmp_path: Path) -> None:
    from diffusers import DDPMPipeline

    losses = {
        name: {
            "kind": "callable",
            "function": FUNCTION,
            "samples": 40,
            "metrics": {"loss": "minimize"},
            "arguments": {"kind": kind},
        }
        for kind, name in enumerate(("upright", "lying"))
    }
    result = run(
        Config(
            models={
                "base": str(folder / "base"),
                "members": {name: str(folder / name) for name in losses},
                "device": "cpu",
            },
            space={"groups": "layers", "kind": "box", "high": 1.2},
            search={"searcher": "sobol", "baselines": ["*"]},
            evaluators=losses,
            objectives=["upright/loss", "lying/loss"],
            budget={"trials": 12},
            out=str(tmp_path),
        )
    )
    assert list(result.plan.groups) == ["input", *(f"layer {number}" for number in range(5)), "output"]
    scores = {record.proposal.origin: record.values for record in result.records}
    base, upright, lying = (scores[name] for name in ("base", "member upright", "member lying"))
    assert base and upright and lying and upright[0] < 0.9 * base[0] and lying[1] < 0.9 * base[1]
    member = [record.number for record in result.records if record.proposal.origin == "member lying"]
    result.export(tmp_path / "merged", member[0])
    assert not (tmp_path / "merged" / "mergekit.yaml").exists()
    published, own = (DDPMPipeline.from_pretrained(path).unet for path in (tmp_path / "merged", folder / "lying"))
    assert all(value.equal(own.state_dict()[name]) for name, value in published.state_dict().items())


def test_init_proposes_a_function_that_scores(folder: Path, tmp_path: Path) -> None:
    write_template(tmp_path / "search.yaml", [str(folder / "base"), str(folder / "lying")], "search")
    config = load_config(tmp_path / "search.yaml")
    assert config.models.network is None and config.objectives[0].metric == "quality/loss"
    assert config.evaluators["quality"]["kind"] == "callable"
