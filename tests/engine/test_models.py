"""Base and members together: what does not match the base is refused by name, and what does is taken."""

from __future__ import annotations

import copy
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import CheckpointError, InputError
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable


def test_members_come_back(tiny: Any, zoo: Path) -> None:
    models = tiny.opened(zoo, zoo / "a", zoo / "b")
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "layers"))
    assert models.names == ["a", "b"]
    live.write(CoefficientTable.tied(np.array([0.0, 1.0]), len(live.groups)))
    wanted = load_file(zoo / "b" / "model.safetensors")
    assert {name: tiny.same_bits(value, wanted[name]) for name, value in live.tensors().items()} == {
        name: True for name in wanted
    }
    assert models.tokenizer is not None


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda t: {n: v for n, v in t.items() if "norm" not in n},
            r"lacks 5 tensors of the base, such as 'model.*norm",
        ),
        (
            lambda t: {**t, "value_head.weight": torch.ones(3)},
            r"has 1 tensors that the base lacks, such as 'value_head",
        ),
        (lambda t: {**t, "model.norm.weight": torch.ones(17)}, r"'model.norm.weight' is 17, the base has 16: Give"),
        (
            lambda t: {**t, "lm_head.weight": torch.ones(50, 16)},
            r"is 50 x 16, the base has 48 x 16: another vocabulary",
        ),
        (lambda t: {**t, "lm_head.weight": torch.ones(48, 16).char()}, r"is torch.int8; dequantise the checkpoint"),
    ],
)
def test_members_that_do_not_match_are_refused(tiny: Any, zoo: Path, tmp_path: Path, function: Any, text: str) -> None:
    with pytest.raises(CheckpointError, match=f"member 'a'.*{text}"):
        tiny.opened(zoo, tiny.changed(zoo, tmp_path, function))


def test_integers_that_the_base_lacks_do_not_matter(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """Older transformers saved position numbers and masks."""
    path = tiny.changed(zoo, tmp_path, lambda tensors: {**tensors, "model.position_ids": torch.arange(3)})
    assert tiny.opened(zoo, path).build_bank(BankOptions()).identical == ()


def test_what_does_not_match_can_be_ignored(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """Ignored tensors stay at the base's values."""
    other = tiny.changed(zoo, tmp_path, lambda t: {**t, "lm_head.weight": torch.ones(50, 16), "extra.w": torch.ones(1)})
    models = tiny.opened(zoo, other, ignore=("lm_head.*", "extra*"))
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))
    live.write(CoefficientTable.of(np.ones((1, 1))))
    assert torch.equal(
        tiny.weights(live)["lm_head.weight"], load_file(zoo / "base" / "model.safetensors")["lm_head.weight"]
    )
    assert "lm_head.weight" not in live.bank.names


def test_names_with_and_without_the_prefix_match(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """`layers.0…` for `model.layers.0…`, and `module.model.layers.0…`."""
    for number, rename in enumerate((lambda n: n.removeprefix("model."), lambda n: f"module.{n}")):
        path = tiny.changed(
            zoo, tmp_path / str(number), lambda t, f=rename: {f(name): value for name, value in t.items()}
        )
        source = tiny.opened(zoo, path).members[0].source
        wanted = load_file(zoo / "a" / "model.safetensors")
        assert all(tiny.same_bits(source.read(name), value) for name, value in wanted.items())


def test_a_missing_tensor_is_not_taken_from_another_of_similar_name(tiny: Any) -> None:
    """`norm.weight` must not be read from `side.norm.weight`, which is a tensor of its own."""
    from mergesearch.engine.checkpoints.source import Source

    base = {"norm.weight": torch.ones(3), "side.norm.weight": torch.ones(3), "side.w": torch.ones(2)}
    member = tiny.MemoryCheckpoint({name: value for name, value in base.items() if name != "norm.weight"})
    with pytest.raises(CheckpointError, match=r"lacks 1 tensors of the base, such as 'norm.weight'"):
        Source("a", member, tiny.target_of(base))


def test_tied_base_takes_an_untied_member_of_equal_copies_only(tiny: Any, tmp_path: Path) -> None:
    model = tiny.llama(tied=True)
    model.save_pretrained(tmp_path / "base")
    embedding = model.state_dict()["model.embed_tokens.weight"]
    for name, head in (("equal", embedding), ("other", embedding + 1)):
        shutil.copytree(tmp_path / "base", tmp_path / name)
        tensors = load_file(tmp_path / name / "model.safetensors")
        assert "lm_head.weight" not in tensors
        save_file({**tensors, "lm_head.weight": head.clone()}, tmp_path / name / "model.safetensors")
    assert tiny.opened(tmp_path, tmp_path / "equal").build_bank(BankOptions()).identical == ("equal",)
    with pytest.raises(
        CheckpointError, match=r"'lm_head.weight' differs from 'model.embed_tokens.weight', which the base"
    ):
        tiny.opened(tmp_path, tmp_path / "other").build_bank(BankOptions())


def test_untied_base_refuses_a_tied_member(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    tiny.llama(tied=True).save_pretrained(tmp_path / "tied")
    with pytest.raises(CheckpointError, match=r"member 'tied' lacks 1 tensors of the base, such as 'lm_head.weight'"):
        tiny.opened(zoo, tmp_path / "tied")


def test_identical_members_are_named(tiny: Any, zoo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(zoo / "base", tmp_path / "same")
    with caplog.at_level(logging.WARNING):
        tiny.opened(zoo, zoo / "a", tmp_path / "same").build_bank(BankOptions())
    assert "member 'same' is identical to the base: its coefficients change nothing; leave it out" in caplog.text


def test_members_identical_to_one_another_are_named(
    tiny: Any, zoo: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(zoo / "a", tmp_path / "again")
    with caplog.at_level(logging.WARNING):
        bank = tiny.opened(zoo, zoo / "a", zoo / "b", tmp_path / "again").build_bank(BankOptions())
    assert bank.twins == (("a", "again"),) and bank.identical == ()
    assert "members 'a' and 'again' are identical; leave one of them out" in caplog.text


def test_trajectory_starts_at_its_oldest_snapshot(tiny: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny.llama()
    for step in (1000, 200, 30):
        tiny.save_member(tmp_path / f"checkpoint-{step}", model, step)
    models = Models(ModelPaths(trajectory=f"{tmp_path}/checkpoint-*", device="cpu"))
    assert models.names == ["step 30", "step 200", "step 1000"]
    assert models.steps == [30, 200, 1000]
    assert models.build_bank(BankOptions()).identical == ("step 30",)
    assert "identical" not in caplog.text


def test_anchors_make_other_deltas(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """A member trained from `b` is base + (member − b) at coefficient 1."""
    model = tiny.llama()
    model.load_state_dict(load_file(zoo / "b" / "model.safetensors"))
    tiny.save_member(tmp_path / "c", copy.deepcopy(model), 9)
    models = tiny.opened(zoo, tmp_path / "c", anchors={"c": str(zoo / "b")})
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))
    live.write(CoefficientTable.of(np.ones((1, 1))))
    base, b, c = (load_file(folder / "model.safetensors") for folder in (zoo / "base", zoo / "b", tmp_path / "c"))
    for name, value in tiny.weights(live).items():
        torch.testing.assert_close(value, base[name] + (c[name] - b[name]), rtol=0, atol=0)
    lora = tiny.save_adapter(tmp_path / "lora", model, 1, r=2, target_modules=["q_proj"])
    with pytest.raises(CheckpointError, match=r"the anchor of 'c', '.*lora', is an adapter"):
        tiny.opened(zoo, tmp_path / "c", anchors={"c": str(lora)})
    with pytest.raises(InputError, match=r"names 'd', which is no member; members: c"):
        tiny.opened(zoo, tmp_path / "c", anchors={"d": str(zoo / "b")})
