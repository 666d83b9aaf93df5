"""Generated images against real ones: the same noise for every candidate, references computed once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.frechet import FrechetEvaluator
from mergesearch.evaluators.noise import sample_generators, sample_noise
from mergesearch.plugins import load_object

DRAWING = Path(__file__).with_name("drawing.py")
ALL = ("frechet", "precision", "recall")
Build = Any


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A function that builds the evaluator `mine` with changed options, and keeps references below `tmp_path`."""

    def built(**changes: Any) -> FrechetEvaluator:
        options = {
            "generator": f"{DRAWING}:draw",
            "samples": 80,
            "shape": [6],
            "reference": f"{DRAWING}:points",
            "extractor": f"{DRAWING}:features",
            "metrics": ALL,
            "batch_size": 16,
            "cache": str(tmp_path / "cache"),
        }
        return FrechetEvaluator("mine", **{**options, **changes})

    return built


@pytest.fixture
def calls() -> list[int]:
    """Sizes of the batches that the extractor was given."""
    found: list[int] = load_object(f"{DRAWING}:CALLS")
    found.clear()
    return found


def _scored(evaluator: FrechetEvaluator, model: Any, rows: Any = None) -> Any:
    evaluator.prepare(model, None)
    return evaluator.score(model, {"mine": np.arange(80) if rows is None else np.asarray(rows)})["mine"]


def _features(points: torch.Tensor) -> np.ndarray[Any, Any]:
    with torch.no_grad():
        found: np.ndarray[Any, Any] = load_object(f"{DRAWING}:features")()(points).double().numpy()
    return found


def test_the_scores_are_those_of_the_generated_features(build: Build, make: Any) -> None:
    model = make("tiny_net").eval()
    rows = np.arange(0, 80, 2)
    found = _scored(build(), model, rows)
    with torch.no_grad():
        drawn = _features(model(torch.from_numpy(sample_noise(0, rows, [6]))))
    real = _features(load_object(f"{DRAWING}:points")())
    own, theirs = np.cov(drawn, rowvar=False), np.cov(real, rowvar=False)
    root = np.real(scipy.linalg.sqrtm(own @ theirs))
    expected = ((drawn.mean(0) - real.mean(0)) ** 2).sum() + np.trace(own + theirs - 2 * root)
    assert found["frechet"].value == pytest.approx(expected, rel=1e-5)
    apart = np.linalg.norm(real[:, None] - real[None], axis=2)
    reach = np.sort(apart, axis=1)[:, 3]
    inside = (np.linalg.norm(drawn[:, None] - real[None], axis=2) <= reach).any(axis=1)
    assert found["precision"].samples.tolist() == inside.tolist()
    assert 0 <= found["recall"].value <= 1 and np.isfinite(found["recall"].stderr)


def test_the_batch_size_and_the_other_samples_change_nothing(build: Build, make: Any) -> None:
    model = make("tiny_net")
    generator = {"generator": f"{DRAWING}:draw_in_steps", "classes": 3}
    rows = [3, 4, 40, 41, 77]
    scores = [_scored(build(batch_size=size, **generator), model, rows) for size in (1, 2, 16, 64)]
    for one in scores[1:]:
        assert one["frechet"].value == pytest.approx(scores[0]["frechet"].value, rel=1e-5)
        assert one["frechet"].replicates == pytest.approx(scores[0]["frechet"].replicates, rel=1e-4)
    whole = _scored(build(**generator), model)
    assert whole["precision"].samples[rows].tolist() == scores[0]["precision"].samples.tolist()


def test_steps_draw_from_each_samples_own_generator_and_labels_follow_its_number(build: Build, make: Any) -> None:
    """With the network's last layer at zero, what is drawn is the labels and the steps' noise alone."""
    model = make("tiny_net").eval()
    torch.nn.init.zeros_(model[4].weight)
    torch.nn.init.zeros_(model[4].bias)
    evaluator = build(generator=f"{DRAWING}:draw_in_steps", classes=4, seed=5, arguments={"generator": {"steps": 1}})
    rows = np.array([6, 70])
    drawn = next(images for _, images in evaluator._generation.batches(model, rows))[:2]
    expected = [torch.randn(3, generator=one) for one in sample_generators(5, rows)]
    assert torch.allclose(drawn, torch.stack(expected) + torch.tensor([[2.0], [2.0]]))
    assert not torch.allclose(expected[0], expected[1])
    assert np.abs(np.corrcoef(expected[0], sample_noise(5, rows, [3])[0])[0, 1]) < 1


def test_a_diffusion_pipeline_draws_the_same_whatever_the_batch(build: Build, tmp_path: Path) -> None:
    """Pipelines take the generators as they are, and draw the noise of every step from them."""
    from diffusers import UNet2DModel

    file = tmp_path / "pipe.py"
    file.write_text(
        "import torch\n"
        "from diffusers import DDPMPipeline, DDPMScheduler\n"
        "def draw(model, noise, generators):\n"
        "    pipe = DDPMPipeline(model, DDPMScheduler())\n"
        "    pipe.set_progress_bar_config(disable=True)\n"
        "    made = pipe(len(noise), generators, num_inference_steps=3, output_type='np', return_dict=False)\n"
        "    return torch.from_numpy(made[0]).flatten(1)\n"
        "def real():\n"
        "    return torch.rand(20, 64, generator=torch.Generator().manual_seed(0))\n"
        "def pixels():\n"
        "    return lambda images: images[:, ::16]\n"
    )
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownBlock2D",), "up_block_types": ("UpBlock2D",), "block_out_channels": (8,)}
    model = UNet2DModel(8, 1, 1, **blocks, layers_per_block=1, norm_num_groups=4)
    options = {"generator": f"{file}:draw", "reference": f"{file}:real", "extractor": f"{file}:pixels"}
    scores = [
        _scored(build(**options, shape=[1, 8, 8], batch_size=size, metrics=["frechet"]), model, range(10))
        for size in (3, 10)
    ]
    assert scores[0]["frechet"].value == pytest.approx(scores[1]["frechet"].value, rel=1e-4)


def test_features_are_extracted_once_per_candidate_and_those_of_real_images_once_for_all_runs(
    build: Build, make: Any, calls: list[int]
) -> None:
    model = make("tiny_net")
    first = build()
    first.prepare(model, None)
    assert calls == [50, 16]  # the real images, and one batch to see that generated ones fit
    calls.clear()
    whole = first.score(model, {"mine": np.arange(80)})
    assert calls == [16] * 5
    calls.clear()
    second = build()
    second.prepare(model, None)
    assert calls == [16]
    again = second.score(model, {"mine": np.arange(80)})
    assert again["mine"]["frechet"].value == whole["mine"]["frechet"].value
    assert again["mine"]["recall"].value == whole["mine"]["recall"].value


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"extractor": {"seed": 1}}},
        {"arguments": {"reference": {"shift": 0.5}}},
        {"reference": f"{DRAWING}:pairs", "arguments": {"reference": {"count": 30}}},
    ],
)
def test_another_extractor_or_other_images_are_computed_anew(
    build: Build, make: Any, calls: list[int], changes: dict[str, Any]
) -> None:
    model = make("tiny_net")
    build().prepare(model, None)
    calls.clear()
    other = build(**changes)
    other.prepare(model, None)
    assert len(calls) == 2
    assert other.fingerprint() != build().fingerprint()


def test_the_weights_of_the_extractor_count(build: Build, make: Any, tmp_path: Path) -> None:
    file = tmp_path / "loaded.py"
    file.write_text(
        "import torch\ndef load(path):\n    layer = torch.nn.Linear(3, 4)\n"
        "    layer.load_state_dict(torch.load(path))\n    return layer\n"
    )
    found = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        torch.save(torch.nn.Linear(3, 4).state_dict(), tmp_path / "weights.pt")
        arguments = {"extractor": {"path": str(tmp_path / "weights.pt")}}
        evaluator = build(extractor=f"{file}:load", arguments=arguments)
        found.append((evaluator.fingerprint(), _scored(evaluator, make("tiny_net"))["frechet"].value))
    assert found[0] == found[2] and found[0][0] != found[1][0] and found[0][1] != found[1][1]


def test_a_torn_cache_file_is_written_anew(build: Build, make: Any, calls: list[int], tmp_path: Path) -> None:
    model = make("tiny_net")
    expected = _scored(build(), model)["frechet"].value
    for path in (tmp_path / "cache").iterdir():
        path.write_bytes(path.read_bytes()[:100])
    calls.clear()
    assert _scored(build(), model)["frechet"].value == expected
    assert calls[0] == 50


def test_a_dataset_of_pairs_is_the_tensor_of_its_images(build: Build, make: Any) -> None:
    model = make("tiny_net")
    one, other = build(), build(reference=f"{DRAWING}:pairs")
    assert _scored(one, model)["frechet"].value == _scored(other, model)["frechet"].value


def test_statistics_of_other_tools_are_a_reference(build: Build, make: Any, tmp_path: Path) -> None:
    model, real = make("tiny_net"), _features(load_object(f"{DRAWING}:points")())
    np.savez(tmp_path / "real.npz", mu=real.mean(0), sigma=np.cov(real, rowvar=False))
    found = _scored(build(reference=str(tmp_path / "real.npz"), metrics=["frechet"]), model)
    assert found["frechet"].value == pytest.approx(_scored(build(), model)["frechet"].value, rel=1e-6)
    with pytest.raises(
        InputError, match=r"precision and recall need real images, and .*real.npz' has their statistics"
    ):
        build(reference=str(tmp_path / "real.npz")).prepare(model, None)
    np.savez(tmp_path / "other.npz", mean=real.mean(0))
    with pytest.raises(InputError, match=r"other.npz' has mean; it must have mu and sigma"):
        build(reference=str(tmp_path / "other.npz"), metrics=["frechet"]).prepare(model, None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"metrics": ["fid"]}, "evaluator 'mine' has no metric 'fid'; .*frechet"),
        ({"metrics": []}, r"metrics = \[\]; give one or more of frechet, precision, recall"),
        ({"samples": 0}, "samples = 0; give 1 or more"),
        ({"classes": 0}, "classes = 0; give 1 or more"),
        ({"seed": -1}, "seed = -1; give 0 or more"),
        ({"shape": [2, 0]}, "shape = 0; give 1 or more"),
        ({"arguments": {"extracter": {}}}, "no arguments for 'extracter'; did you mean 'extractor'"),
        ({"generator": f"{DRAWING}:draw_in_steps"}, "draw_in_steps wants labels; give the number of classes"),
        ({"generator": f"{DRAWING}:drew"}, "has no 'drew'; did you mean 'draw'"),
        ({"reference": "nowhere.npz"}, "no file 'nowhere.npz'; give a .npz file with mu and sigma"),
    ],
)
def test_bad_options_are_refused(build: Build, changes: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        build(**changes)


@pytest.mark.parametrize(
    ("body", "options", "text"),
    [
        ("return 3", ["extractor"], "extractor .* returned 3; return a torch module or a function"),
        (
            "return lambda x: x.sum()",
            ["extractor"],
            r"gave Tensor of shape \(\) for 50 images; return a tensor of one row",
        ),
        ("return [torch.ones(2)]", ["reference"], "not a tensor or dataset of 2 images or more"),
        ("return [torch.ones(2), torch.ones(3)]", ["reference"], "do not stack .*; make them alike"),
        ("return noise.numpy()", ["generator"], r"generator returned ndarray of shape \(16, 6\) for 16 rows of noise"),
        ("return model(noise)[:3]", ["generator"], r"returned Tensor of shape \(3, 3\) for 16 rows of noise; return a"),
        ("return ['ab', 'cd']", ["reference"], "is given list; images must be tensors, batch x"),
        (
            "return torch.ones(9, 3).numpy().astype('f8')",
            ["reference"],
            "evaluator 'mine' failed with RuntimeError: mat1",
        ),
        ("return 1 / 0", ["generator"], "evaluator 'mine' failed with ZeroDivisionError"),
        ("return torch.ones(16, 2)", ["generator"], "evaluator 'mine' failed with RuntimeError: mat1 and mat2"),
    ],
)
def test_functions_that_do_not_fit_are_refused_before_the_search(
    build: Build, make: Any, tmp_path: Path, body: str, options: list[str], text: str
) -> None:
    header = "model, noise" if options == ["generator"] else ""
    (tmp_path / "own.py").write_text(f"import torch\ndef own({header}):\n    {body}\n")
    with pytest.raises(InputError, match=text):
        build(**dict.fromkeys(options, f"{tmp_path / 'own.py'}:own")).prepare(make("tiny_net"), None)


def test_images_of_another_size_are_refused_before_the_search(build: Build, make: Any, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def pixels():\n    return lambda images: images\n")
    with pytest.raises(InputError, match="generated images have 2 features and real ones 3; generate images of the"):
        build(extractor=f"{tmp_path / 'own.py'}:pixels").prepare(make("tiny_net", outputs=2), None)
    with pytest.raises(InputError, match="neighbours = 50 of 50 real images; give fewer"):
        build(neighbours=50).prepare(make("tiny_net"), None)


def test_weights_that_are_not_finite_fail_the_trial(build: Build, make: Any) -> None:
    model, evaluator = make("tiny_net"), build()
    evaluator.prepare(model, None)
    with torch.no_grad():
        model[4].weight[0, 0] = torch.nan
    with pytest.raises(TrialError, match="task 'mine': the features of 7 of 7 images are not finite"):
        evaluator.score(model, {"mine": np.arange(7)})


def test_it_must_be_prepared(build: Build, make: Any) -> None:
    with pytest.raises(InputError, match="compares with reference images; call prepare first"):
        build().score(make("tiny_net"), {"mine": np.arange(3)})
