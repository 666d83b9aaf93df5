"""Image classification with models of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators.image_classification import ImageClassificationEvaluator


@pytest.fixture
def images(make: Any, tmp_path: Path) -> Path:
    path: Path = make("write_images", tmp_path, 6)
    return path


def _evaluator(images: Path, **options: Any) -> ImageClassificationEvaluator:
    return ImageClassificationEvaluator(
        "shapes", str(images), **{"processor": str(images.parent / "processor"), **options}
    )


def test_scores_are_those_of_the_pipeline(images: Path, make: Any) -> None:
    from transformers import AutoImageProcessor, pipeline

    model = make("tiny_vit")
    evaluator = _evaluator(images, metrics=["accuracy", "loss", "entropy"], batch_size=5)
    evaluator.prepare(model, None)
    scores = evaluator.score(model, {"shapes": np.arange(12)})["shapes"]
    paths = [str(path) for path in sorted(images.glob("*/*"))]
    processor = AutoImageProcessor.from_pretrained(images.parent / "processor")
    classify = pipeline("image-classification", model=model, image_processor=processor, device="cpu")
    found = [{one["label"]: one["score"] for one in each} for each in classify(paths)]
    chances = np.array([[each["stripes"], each["dots"]] for each in found])
    labels = np.array([1] * 6 + [0] * 6)  # the folders' order is not the model's
    np.testing.assert_array_equal(np.asarray(scores["accuracy"].samples), chances.argmax(1) == labels)
    np.testing.assert_allclose(
        np.asarray(scores["loss"].samples), -np.log(chances[np.arange(12), labels]), rtol=1e-4, atol=1e-6
    )
    assert scores["entropy"].value == pytest.approx(-(chances * np.log(chances)).sum(1).mean(), rel=1e-4)


def test_the_processor_is_the_one_beside_the_base_model(images: Path, make: Any, tmp_path: Path) -> None:
    from transformers import ViTForImageClassification, ViTImageProcessorPil

    make("tiny_vit").save_pretrained(tmp_path / "base")
    model = ViTForImageClassification.from_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match=r"evaluator 'shapes': loading the image processor of '.*base' failed"):
        _evaluator(images, processor=None).prepare(model, None)
    ViTImageProcessorPil(size={"height": 8, "width": 8}).save_pretrained(tmp_path / "base")
    found = []
    for processor in (None, str(images.parent / "processor")):
        evaluator = _evaluator(images, processor=processor, metrics=["loss"])
        evaluator.prepare(model, None)
        found.append(evaluator.score(model, {"shapes": np.arange(12)})["shapes"]["loss"].value)
    assert found[0] == found[1]


def test_pixels_come_in_the_models_dtype_and_number_of_channels(images: Path) -> None:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = ViTConfig(**sizes, image_size=8, patch_size=4, num_channels=1, id2label={0: "dots", 1: "stripes"})
    model = ViTForImageClassification(config).bfloat16().eval()
    grey = ViTImageProcessorPil(size={"height": 8, "width": 8}, image_mean=[0.5], image_std=[0.5])
    grey.save_pretrained(images.parent / "grey")
    evaluator = _evaluator(images, processor=str(images.parent / "grey"), metrics=["loss"])
    evaluator.prepare(model, None)
    _, inputs = next(evaluator.batches("shapes", np.arange(4), "cpu"))
    assert inputs["pixel_values"].shape == (12, 1, 8, 8) and inputs["pixel_values"].dtype == torch.bfloat16
    assert np.isfinite(evaluator.score(model, {"shapes": np.arange(4)})["shapes"]["loss"].value)


def test_images_of_the_datasets_library(images: Path, make: Any, tmp_path: Path) -> None:
    where = {"path": "imagefolder", "data_dir": str(images), "split": "train", "cache_dir": str(tmp_path / "cache")}
    model = make("tiny_vit")
    own = _evaluator(images, metrics=["loss"])
    library = ImageClassificationEvaluator("shapes", where, processor=own.processor, metrics=["loss"])
    scores = []
    for evaluator in (own, library):
        evaluator.prepare(model, None)
        scores.append(np.asarray(evaluator.score(model, {"shapes": np.arange(12)})["shapes"]["loss"].samples))
    np.testing.assert_array_equal(np.sort(scores[0]), np.sort(scores[1]))


def test_what_cannot_be_used_is_refused_before_the_search(images: Path, make: Any) -> None:
    with pytest.raises(
        InputError, match="finds no image processor beside the base model; give its path as 'processor'"
    ):
        _evaluator(images, processor=None).prepare(make("tiny_vit"), None)
    with pytest.raises(InputError, match="task 'shapes': the model failed with ValueError: You must specify"):
        _evaluator(images, label=None).prepare(make("tiny_bert"), None)
    (images / "dots" / "00.png").write_text("no image")
    with pytest.raises(InputError, match="evaluator 'shapes': opening images failed with UnidentifiedImageError"):
        _evaluator(images)


def test_a_changed_image_changes_the_fingerprint(images: Path) -> None:
    from PIL import Image

    before = _evaluator(images).fingerprint()
    assert _evaluator(images).fingerprint() == before
    Image.new("RGB", (8, 12)).save(images / "dots" / "00.png")
    assert _evaluator(images).fingerprint() != before


def test_a_members_head_is_set_on_the_live_models_body(images: Path, make: Any, tmp_path: Path) -> None:
    live, member = make("tiny_vit", 0), make("tiny_vit", 1)
    member.save_pretrained(tmp_path / "member")
    values = []
    for model, options in ((live, {"head": str(tmp_path / "member")}), (member, {})):
        evaluator = _evaluator(images, metrics=["loss"], **options)
        evaluator.prepare(live, None)
        member.vit.load_state_dict(live.vit.state_dict())
        values.append(evaluator.score(model, {"shapes": np.arange(12)})["shapes"]["loss"].value)
    assert values[0] == values[1]
