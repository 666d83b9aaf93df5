"""Export: the files hold the live weights bit for bit, load again, and appear complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mergesearch.engine.bank.member import BankOptions
from mergesearch.engine.export import export
from mergesearch.engine.export.export import export_model
from mergesearch.engine.live.live import LiveModel
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import InputError
from mergesearch.spaces.groups import group_tensors
from mergesearch.spaces.table import CoefficientTable


def merged(base: Path, member: Path, **options: Any) -> tuple[Models, LiveModel]:
    """A live model at coefficient 0.5."""
    models = Models(ModelPaths(str(base), {"m": str(member)}, device="cpu", **options))
    live = models.live(models.build_bank(BankOptions()), group_tensors(models.places(), "model"))
    live.write(CoefficientTable.of(np.array([[0.5]])))
    return models, live


FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "llama": ("llama", {}, {}),
    "tied, bf16": ("llama", {"tied": True, "dtype": torch.bfloat16}, {}),
    "sharded": ("llama", {}, {"max_shard_size": "4KB"}),
    "tied, sharded, fp16": ("llama", {"tied": True, "dtype": torch.float16}, {"max_shard_size": "3KB"}),
    "gpt2": ("gpt2", {}, {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_files_hold_the_live_weights_and_load_again(tiny: Any, tmp_path: Path, form: str) -> None:
    """The same files, names and metadata as the base's; transformers reads the same numbers from them."""
    family, options, saving = FORMS[form]
    model = getattr(tiny, family)(**options)
    model.save_pretrained(tmp_path / "base", **saving)
    tiny.save_tokenizer(tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").write_text("{{ messages }}")
    models, live = merged(tmp_path / "base", tiny.save_member(tmp_path / "m", model, 1, sigma=0.01))
    files = export_model(live, models.base, tmp_path / "out", {"trial": 7})
    assert {file.name for file in (tmp_path / "out").iterdir()} == {f.name for f in (tmp_path / "base").iterdir()}
    stored: dict[str, torch.Tensor] = {}
    for file in files:
        stored |= load_file(file)
        with safe_open(file, "pt") as opened:
            assert opened.metadata() == {"format": "pt", "mergesearch": '{"trial": 7}'}
    assert set(stored) == set(models.base_checkpoint.headers)
    assert all(tiny.same_bits(stored[name], value) for name, value in live.tensors().items())
    loaded = type(model).from_pretrained(tmp_path / "out", dtype="auto")
    again = loaded.state_dict()
    assert all(tiny.same_bits(again[name], value) for name, value in live.tensors().items())
    tokens = torch.arange(8)[None]
    assert torch.equal(loaded.eval()(tokens).logits, live.model(tokens).logits)
    if len(files) > 1:
        index = json.loads((tmp_path / "out" / "model.safetensors.index.json").read_text())
        assert index["metadata"]["total_size"] == sum(value.numel() * value.element_size() for value in stored.values())
        assert set(index["weight_map"]) == set(stored)
    again_models, _ = merged(tmp_path / "out", tmp_path / "m")
    assert again_models.tokenizer is not None


def test_another_dtype_is_noted_in_the_configuration(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    models, live = merged(zoo / "base", zoo / "a", dtype="bfloat16")
    export_model(live, models.base, tmp_path / "out", {})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    from transformers import AutoModelForCausalLM

    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "out").state_dict()
    assert all(tiny.same_bits(loaded[name], value) for name, value in live.tensors().items())


def test_tied_copies_in_the_files_are_all_written(tiny: Any, tmp_path: Path) -> None:
    """Some files hold the embedding and the head that is tied to it: neither may keep the base's numbers."""
    model = tiny.llama(tied=True)
    for seed, name in enumerate(("base", "m")):
        path = tiny.save_member(tmp_path / name, model, seed) / "model.safetensors"
        tensors = load_file(path)
        save_file({**tensors, "lm_head.weight": tensors["model.embed_tokens.weight"].clone()}, path, {"format": "pt"})
    models, live = merged(tmp_path / "base", tmp_path / "m")
    (file,) = export_model(live, models.base, tmp_path / "out", {})
    stored = load_file(file)
    assert tiny.same_bits(stored["model.embed_tokens.weight"], live.tensors()["model.embed_tokens.weight"])
    assert tiny.same_bits(stored["lm_head.weight"], stored["model.embed_tokens.weight"])


def test_a_folder_with_a_torch_file_becomes_safetensors(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """`pytorch_model.bin` is read, and not copied."""
    for name in ("base", "a"):
        (tmp_path / name).mkdir()
        torch.save(load_file(zoo / name / "model.safetensors"), tmp_path / name / "pytorch_model.bin")
        (tmp_path / name / "config.json").write_bytes((zoo / name / "config.json").read_bytes())
    models, live = merged(tmp_path / "base", tmp_path / "a")
    (file,) = export_model(live, models.base, tmp_path / "out", {})
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"config.json", "model.safetensors"}
    assert all(tiny.same_bits(load_file(file)[name], value) for name, value in live.tensors().items())


def test_integers_spare_and_ignored_tensors_are_copied(tiny: Any, network: str, tmp_path: Path) -> None:
    """A lone file with `network`: what the merge does not touch is as in the base."""
    state = tiny.normed().state_dict()
    state["norm.num_batches_tracked"].fill_(41)
    moved = {name: value + 1 for name, value in state.items()}
    save_file(state, tmp_path / "base.safetensors")
    save_file(moved, tmp_path / "m.safetensors")
    options = {"network": network, "ignore": ("head.*",)}
    models, live = merged(tmp_path / "base.safetensors", tmp_path / "m.safetensors", **options)
    (file,) = export_model(live, models.base, tmp_path / "out", {})
    stored = load_file(file)
    assert file == tmp_path / "out" / "model.safetensors"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.safetensors"]
    assert stored["norm.num_batches_tracked"] == 41
    assert torch.equal(stored["head.weight"], state["head.weight"])
    torch.testing.assert_close(stored["stem.weight"], state["stem.weight"] + 0.5)


def test_a_torch_base_becomes_safetensors(tiny: Any, network: str, tmp_path: Path) -> None:
    """Tensors with gaps and tensors that share memory in the torch file are no obstacle."""
    state = tiny.normed().state_dict()
    state["head.weight"] = torch.randn(4, 2).T
    torch.save(state, tmp_path / "base.pt")
    torch.save({name: value + 1 for name, value in state.items()}, tmp_path / "m.pt")
    models, live = merged(tmp_path / "base.pt", tmp_path / "m.pt", network=network, ignore=("head.*",))
    live.model.head.weight.data = torch.randn(4, 2).T  # type: ignore[union-attr]
    (file,) = export_model(live, models.base, tmp_path / "out", {})
    assert torch.equal(load_file(file)["head.weight"], tiny.weights(live)["head.weight"])


@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_left_behind_when_writing_fails(
    zoo: Path, tmp_path: Path, exists: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(content: Any, path: Path, metadata: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    models, live = merged(zoo / "base", zoo / "a")
    if exists:
        (tmp_path / "out").mkdir()
    monkeypatch.setattr(export, "save_file", fail)
    with pytest.raises(InputError, match=r"cannot write to '.*out' \(no space left on device\); give another folder"):
        export_model(live, models.base, tmp_path / "out", {})
    assert [path.name for path in tmp_path.iterdir()] == (["out"] if exists else [])
    assert not exists or not list((tmp_path / "out").iterdir())


def test_destinations_that_are_taken_are_refused(zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models, live = merged(zoo / "base", zoo / "a")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("mine")
    with pytest.raises(InputError, match=r"file' is a file; give another folder, or remove it first"):
        export_model(live, models.base, tmp_path / "file", {})
    with pytest.raises(InputError, match=r"full' exists and is not empty; give another folder"):
        export_model(live, models.base, tmp_path / "full", {})
    assert (tmp_path / "full" / "mine").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    export_model(live, models.base, Path("."), {})
    assert (tmp_path / "empty" / "model.safetensors").is_file()
