"""Diffusion models: denoisers and whole pipelines open, are written, and are exported for diffusers to load."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.checkpoints.opening import open_checkpoint
from mergesearch.engine.export.export import export_model
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.engine.network.places import tensor_places
from mergesearch.errors import CheckpointError, InputError
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable

HEADS = {"attention_head_dim": 8, "num_attention_heads": 2}


def unet() -> Any:
    """The U-Net of Stable Diffusion, two blocks deep."""
    from diffusers import UNet2DConditionModel

    blocks = {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    sizes = {"sample_size": 8, "in_channels": 2, "out_channels": 2, "block_out_channels": (8, 16)}
    return UNet2DConditionModel(
        **sizes, **blocks, layers_per_block=1, norm_num_groups=4, cross_attention_dim=8, attention_head_dim=4
    )


def sd3() -> Any:
    """The transformer of Stable Diffusion 3, whose positions are a floating buffer."""
    from diffusers import SD3Transformer2DModel

    sizes = {"sample_size": 8, "in_channels": 2, "out_channels": 2, "num_layers": 2, "pos_embed_max_size": 8}
    widths = {"joint_attention_dim": 8, "caption_projection_dim": 16, "pooled_projection_dim": 8}
    return SD3Transformer2DModel(**sizes, **widths, **HEADS)


def flux() -> Any:
    """The transformer of Flux, with both kinds of blocks."""
    from diffusers import FluxTransformer2DModel

    sizes = {"in_channels": 4, "num_layers": 1, "num_single_layers": 2, "axes_dims_rope": (2, 2, 4)}
    return FluxTransformer2DModel(**sizes, joint_attention_dim=8, pooled_projection_dim=8, **HEADS)


def dit() -> Any:
    """A diffusion transformer with classes."""
    from diffusers import DiTTransformer2DModel

    sizes = {"sample_size": 8, "in_channels": 2, "out_channels": 2, "num_layers": 2, "norm_num_groups": 2}
    return DiTTransformer2DModel(**sizes, **HEADS, num_embeds_ada_norm=1000)


NOISE = torch.linspace(-1, 1, 2 * 2 * 8 * 8).reshape(2, 2, 8, 8)
TIMES = torch.tensor([3, 700])
PROMPT = torch.linspace(-1, 1, 2 * 5 * 8).reshape(2, 5, 8)
CALLS: dict[Any, dict[str, Any]] = {
    unet: {"sample": NOISE, "timestep": TIMES, "encoder_hidden_states": PROMPT},
    sd3: {
        "hidden_states": NOISE,
        "timestep": TIMES,
        "encoder_hidden_states": PROMPT,
        "pooled_projections": PROMPT[:, 0],
    },
    flux: {
        "hidden_states": NOISE.reshape(2, -1, 4),
        "timestep": TIMES / 1000,
        "encoder_hidden_states": PROMPT,
        "pooled_projections": PROMPT[:, 0],
        "txt_ids": torch.zeros(5, 3),
        "img_ids": torch.arange(32 * 3).reshape(32, 3).float(),
    },
    dit: {"hidden_states": NOISE, "timestep": TIMES, "class_labels": torch.tensor([1, 9])},
}


def output(model: Any, build: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(**CALLS[build]).sample
    return found


def opened(base: Path, *members: Path, by: Any = "layers", **options: Any) -> tuple[Models, LiveModel]:
    models = Models(ModelPaths(str(base), {path.name: str(path) for path in members}, device="cpu", **options))
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), by))
    assert isinstance(live, LiveModel)
    return models, live


def saved(tiny: Any, folder: Path, build: Any, dtype: torch.dtype = torch.float32, **options: Any) -> Any:
    """A base and members `a` and `b` in `folder`."""
    torch.manual_seed(0)
    model = build().to(dtype)
    model.save_pretrained(folder / "base", **options)
    for seed, name in enumerate("ab", start=1):
        tiny.save_member(folder / name, model, seed, sigma=0.02)
    return model


@pytest.mark.parametrize("build", CALLS)
def test_denoisers_are_written_and_exported(tiny: Any, tmp_path: Path, build: Any) -> None:
    """Any table by its formula, members bit for bit; diffusers loads the export bit for bit, and it computes alike."""
    base = saved(tiny, tmp_path, build)
    models, live = opened(tmp_path / "base", tmp_path / "a", tmp_path / "b")
    assert type(live.model).__name__ == type(base).__name__
    a, b = (load_file(tmp_path / name / "diffusion_pytorch_model.safetensors") for name in "ab")
    start = {name: value.double() for name, value in base.state_dict().items()}
    rows = np.random.default_rng(0).uniform(-0.3, 1.2, (len(live.groups), 2))
    live.write(CoefficientTable.of(rows))
    for name, value in live.tensors().items():
        first, second = rows[live.groups.of[name]]
        exact = start[name] + first * (a[name].double() - start[name]) + second * (b[name].double() - start[name])
        assert tiny.one_rounding(value, exact, slack=1e-6)
    export_model(live, models.base, tmp_path / "merged", {"trial": 1})
    again = base.from_pretrained(tmp_path / "merged")
    assert all(tiny.same_bits(again.state_dict()[name], value) for name, value in live.tensors().items())
    assert torch.equal(output(again, build), output(live.model, build))
    live.write(CoefficientTable.tied(np.array([0.0, 1.0]), len(live.groups)))
    assert all(tiny.same_bits(value, b[name]) for name, value in live.tensors().items())
    assert not torch.equal(output(again, build), output(live.model, build))


def test_the_stored_dtype_stays_unless_another_is_given(tiny: Any, tmp_path: Path) -> None:
    """diffusers itself would load everything as float32."""
    saved(tiny, tmp_path, dit, torch.bfloat16)
    for dtype, expected in ((None, torch.bfloat16), ("float32", torch.float32)):
        _, live = opened(tmp_path / "base", tmp_path / "a", dtype=dtype)
        assert {tensor.dtype for tensor in live.tensors().values()} == {expected}
        live.write(CoefficientTable.tied(np.ones(1), len(live.groups)))
        stored = load_file(tmp_path / "a" / "diffusion_pytorch_model.safetensors")
        assert all(torch.equal(value, stored[name].to(expected)) for name, value in live.tensors().items())


def test_shards_and_configuration_stay_as_they_are(tiny: Any, tmp_path: Path) -> None:
    base = saved(tiny, tmp_path, unet, max_shard_size="40KB")
    models, live = opened(tmp_path / "base", tmp_path / "a")
    export_model(live, models.base, tmp_path / "merged", {})
    names = sorted(path.name for path in (tmp_path / "base").iterdir())
    assert len(names) > 3 and sorted(path.name for path in (tmp_path / "merged").iterdir()) == names
    assert (tmp_path / "merged/config.json").read_text() == (tmp_path / "base/config.json").read_text()
    again = type(base).from_pretrained(tmp_path / "merged").state_dict()
    assert all(tiny.same_bits(again[name], value) for name, value in base.state_dict().items())


def test_layers_of_a_unet_in_the_order_of_computation() -> None:
    """Its class lists the middle block last, and the middle block is no list."""
    places = {place.name: place for place in tensor_places(unet())}
    found = {name: place.layer for name, place in places.items()}
    assert found["down_blocks.0.resnets.0.conv1.weight"] == 0 and found["down_blocks.1.resnets.0.conv1.weight"] == 1
    assert {layer for name, layer in found.items() if name.startswith("mid_block.")} == {2}
    assert found["up_blocks.0.resnets.0.conv1.weight"] == 3 and found["up_blocks.1.attentions.0.proj_in.weight"] == 4
    assert places["mid_block.resnets.1.conv1.weight"].depth == 0.5
    assert places["mid_block.resnets.1.conv1.weight"].kind == "resnets"
    outside = {name.split(".")[0]: place.layer_name for name, place in places.items() if place.layer is None}
    ends = {"conv_in": "input", "time_embedding": "input", "conv_norm_out": "output", "conv_out": "output"}
    assert outside == ends


def test_both_kinds_of_blocks_are_layers() -> None:
    places = [place for place in tensor_places(flux()) if place.name.endswith("attn.to_q.weight")]
    assert [(place.layer, place.depth, place.kind) for place in places] == [
        (0, 0.0, "attn"),
        (1, 0.5, "attn"),
        (2, 1.0, "attn"),
    ]


def save_pipeline(folder: Path, transformer: Any) -> Path:
    """A pipeline of three components."""
    from diffusers import AutoencoderKL, DDIMScheduler, DiTPipeline

    torch.manual_seed(7)
    vae = AutoencoderKL(latent_channels=2, block_out_channels=(4,), norm_num_groups=2, sample_size=8)
    DiTPipeline(transformer, vae, DDIMScheduler()).save_pretrained(folder)
    return folder


def image(folder: Path) -> np.ndarray:
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    made = pipeline([3], generator=torch.Generator().manual_seed(0), num_inference_steps=2, output_type="np")
    return np.asarray(made.images)


def test_a_pipeline_becomes_a_pipeline(tiny: Any, tmp_path: Path) -> None:
    """Its denoiser is merged; all other components, the base's, are copied. It then generates what the member does."""
    saved(tiny, tmp_path, dit)
    from diffusers import DiTTransformer2DModel

    load = DiTTransformer2DModel.from_pretrained
    folders = {name: save_pipeline(tmp_path / f"pipe-{name}", load(tmp_path / name)) for name in ("base", "a")}
    (folders["base"] / "README.md").write_text("# A model card\n")
    (folders["base"] / "everything.safetensors").write_bytes(b"a checkpoint of the whole pipeline")
    models, live = opened(folders["base"], folders["a"], by="model")
    live.write(CoefficientTable.of(np.ones((1, 1))))
    files = export_model(live, models.base, tmp_path / "merged", {"trial": 3})
    assert files == [tmp_path / "merged/transformer/diffusion_pytorch_model.safetensors"]
    given = {path.relative_to(folders["base"]) for path in folders["base"].rglob("*")}
    made = {path.relative_to(tmp_path / "merged") for path in (tmp_path / "merged").rglob("*")}
    assert given - made == {Path("everything.safetensors")} and not made - given
    np.testing.assert_array_equal(image(tmp_path / "merged"), image(folders["a"]))
    assert np.abs(image(tmp_path / "merged") - image(folders["base"])).max() > 1e-3


def test_the_denoisers_folder_is_exported_alone(tiny: Any, tmp_path: Path) -> None:
    base = saved(tiny, tmp_path, dit)
    pipeline = save_pipeline(tmp_path / "pipeline", base)
    models, live = opened(pipeline / "transformer", tmp_path / "a")
    export_model(live, models.base, tmp_path / "merged", {})
    names = {path.name for path in (tmp_path / "merged").iterdir()}
    assert names == {"config.json", "diffusion_pytorch_model.safetensors"}


@pytest.mark.parametrize(
    ("components", "text"),
    [
        (["transformer", "transformer_2", "vae"], r"has 2 denoisers \(transformer, transformer_2\).*'.*/transformer'"),
        (["prior", "scheduler"], r"has no unet or transformer; give the folder of one model, such as '.*/prior'"),
    ],
)
def test_pipelines_without_the_one_denoiser_are_refused(tmp_path: Path, components: list[str], text: str) -> None:
    entries = {"_class_name": "Pipeline", "boundary": 0.5, **{name: ["diffusers", "Kind"] for name in components}}
    (tmp_path / "model_index.json").write_text(json.dumps(entries))
    for name in components:
        (tmp_path / name).mkdir()
    with pytest.raises(CheckpointError, match=text):
        open_checkpoint(tmp_path)


def change(folder: Path, **options: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **options}))


@pytest.mark.parametrize(
    ("where", "options", "text"),
    [
        ("base", {"_class_name": "UNet9DModel"}, "is of class 'UNet9DModel', which this diffusers does not know"),
        ("base", {"num_layers": 3}, "'.*base' lacks 19 tensors of its network, such as 'transformer_blocks.2"),
        ("base", {"in_channels": 3}, "diffusers cannot load '.*base' as DiTTransformer2DModel .*; copy or download"),
        ("a", {"_class_name": "Transformer2DModel"}, "member 'a' has _class_name Transformer2DModel, the base has DiT"),
        ("a", {"attention_head_dim": 4}, "member 'a' has attention_head_dim 4, the base has 8"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny: Any, tmp_path: Path, where: str, options: dict[str, Any], text: str
) -> None:
    saved(tiny, tmp_path, dit)
    for folder in ["base", "a"] if where == "base" else [where]:
        change(tmp_path / folder, **options)
    with pytest.raises(CheckpointError, match=text):
        opened(tmp_path / "base", tmp_path / "a")


def test_without_diffusers_the_extra_is_named(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tiny, tmp_path, dit)
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"is not installed; install it with: pip install 'mergesearch\[diffusers\]'"):
        opened(tmp_path / "base", tmp_path / "a")
