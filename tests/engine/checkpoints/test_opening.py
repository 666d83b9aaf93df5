"""Opening checkpoints: every format gives its tensors, only headers are read, and broken files are named."""

from __future__ import annotations

import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import safetensors
import torch
from safetensors.torch import save_file

from mergesearch.engine.checkpoints import safetensors_checkpoint
from mergesearch.engine.checkpoints.opening import open_checkpoint, open_trajectory
from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import CheckpointError

STATE = {"w": torch.arange(6.0).reshape(2, 3), "count": torch.tensor(3)}


def test_a_single_folder_and_its_shards_hold_the_same(tiny: Any, tmp_path: Path) -> None:
    model = tiny.llama(dtype=torch.bfloat16)
    model.save_pretrained(tmp_path / "single")
    model.save_pretrained(tmp_path / "sharded", max_shard_size="2KB")
    assert len(list((tmp_path / "sharded").glob("*.safetensors"))) > 2
    single, sharded = open_checkpoint(tmp_path / "single"), open_checkpoint(tmp_path / "sharded")
    assert dict(single.headers) == dict(sharded.headers)
    for name, value in model.state_dict().items():
        assert tiny.same_bits(single.read(name), value)
        assert tiny.same_bits(sharded.read(name), value)
        assert single.headers[name].dtype == value.dtype
    assert single.config["model_type"] == "llama"
    assert str(single.headers["model.norm.weight"]) == "16"
    assert str(single.headers["lm_head.weight"]) == "48 x 16"


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
@pytest.mark.parametrize("wrap", [None, "state_dict", "model_state_dict", "model"])
def test_torch_files(tmp_path: Path, suffix: str, wrap: str | None) -> None:
    path = tmp_path / f"model{suffix}"
    torch.save({wrap: STATE, "epoch": 3} if wrap else OrderedDict(STATE), path)
    checkpoint = open_checkpoint(path)
    assert set(checkpoint.headers) == {"w", "count"}
    assert torch.equal(checkpoint.read("w"), STATE["w"])
    assert checkpoint.folder is None


def test_torch_files_from_before_archives(tmp_path: Path) -> None:
    """The format of torch before 1.6, in which many `pytorch_model.bin` on the hub still are."""
    torch.save(STATE, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert torch.equal(open_checkpoint(tmp_path / "old.bin").read("w"), STATE["w"])


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_folders_with_a_torch_file(tmp_path: Path, name: str) -> None:
    torch.save(STATE, tmp_path / name)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.folder == tmp_path
    assert checkpoint.config == {"model_type": "llama"}
    assert torch.equal(checkpoint.read("w"), STATE["w"])


def test_files_with_code_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "optimizer": Path("somewhere")}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"a.pt' holds more than plain tensors and could run code"):
        _ = open_checkpoint(tmp_path / "a.pt").headers
    (tmp_path / "b.bin").write_bytes(pickle.dumps({"run": print}))
    with pytest.raises(CheckpointError, match=r"b.bin' holds more than plain tensors"):
        _ = open_checkpoint(tmp_path / "b.bin").headers


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(2)])
def test_torch_files_without_named_tensors_are_refused(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"holds no named tensors; save the model's state_dict\(\)"):
        _ = open_checkpoint(tmp_path / "a.pt").headers


@pytest.mark.parametrize("name", ["a.safetensors", "a.pt"])
@pytest.mark.parametrize("kept", [0, 4, 100, -8])
def test_truncated_files_are_named(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    save_file(STATE, path) if name.endswith("safetensors") else torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=f"{name}' (is truncated or no|holds more than plain)"):
        _ = open_checkpoint(path).headers


def sharded(tiny: Any, tmp_path: Path) -> Path:
    tiny.llama().save_pretrained(tmp_path / "model", max_shard_size="4KB")
    return tmp_path / "model"


def test_missing_shard_is_named(tiny: Any, tmp_path: Path) -> None:
    folder = sharded(tiny, tmp_path)
    gone = sorted(folder.glob("*.safetensors"))[1]
    gone.unlink()
    with pytest.raises(CheckpointError, match=f"no file '.*{gone.name}'; check the path, or copy the missing shard"):
        _ = open_checkpoint(folder).headers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid JSON"),
        ("[]", "holds a list, not an object"),
        ("{}", "names no shards under 'weight_map'"),
        ('{"weight_map": ["a"]}', "names no shards"),
    ],
)
def test_broken_index_is_named(tiny: Any, tmp_path: Path, text: str, message: str) -> None:
    folder = sharded(tiny, tmp_path)
    (folder / "model.safetensors.index.json").write_text(text)
    with pytest.raises(CheckpointError, match=f"index.json' {message}"):
        _ = open_checkpoint(folder).headers


def test_unknown_dtypes_are_refused(tmp_path: Path) -> None:
    header = json.dumps({"w": {"dtype": "F8_E4M3", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)
    with pytest.raises(CheckpointError, match=r"tensor 'w' has dtype F8_E4M3, which cannot be merged; dequantise it"):
        _ = open_checkpoint(tmp_path / "a.safetensors").headers


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nowhere/at/all", "no file or folder 'nowhere/at/all'; check the path"),
        (
            "{tmp}",
            "holds no model.safetensors, model.safetensors.index.json, .* model_index.json or adapter_config.json",
        ),
        ("{tmp}/notes.txt", "is no checkpoint by its name; known endings: .safetensors, .bin, .ckpt, .pt, .pth"),
        ("owner/model-that-is-nowhere", "and no such model on the hub"),
    ],
)
def test_paths_that_hold_no_checkpoint(tmp_path: Path, path: str, text: str) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(CheckpointError, match=text):
        open_checkpoint(path.format(tmp=tmp_path))


def test_snapshots_are_ordered_by_step(tmp_path: Path) -> None:
    """Files and folders; the last number counts, as a number."""
    for name in ("run1_step_900.safetensors", "run1_step_1000.safetensors"):
        save_file(STATE, tmp_path / name)
    (tmp_path / "checkpoint-50").mkdir()
    save_file(STATE, tmp_path / "checkpoint-50" / "model.safetensors")
    assert list(open_trajectory(f"{tmp_path}/*")) == [50, 900, 1000]


def test_trajectories_that_cannot_be_ordered(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file matches '.*/\*.safetensors'"):
        open_trajectory(f"{tmp_path}/*.safetensors")
    for name in ("a_5.safetensors", "b_05.safetensors", "final.safetensors"):
        save_file(STATE, tmp_path / name)
    with pytest.raises(CheckpointError, match=r"b_05.safetensors' and '.*a_5.safetensors' both have step 5"):
        open_trajectory(f"{tmp_path}/*_*.safetensors")
    with pytest.raises(CheckpointError, match=r"final.safetensors' has no step in its name"):
        open_trajectory(f"{tmp_path}/f*.safetensors")


def test_opening_members_reads_headers_only(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are opened and checked against the base without reading a single tensor of them."""
    read: list[str] = []

    class Watched:
        def __init__(self, path: str, **options: Any) -> None:
            self.path, self.file = path, safetensors.safe_open(path, **options)

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *_: object) -> None:
            self.file.__exit__(None, None, None)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def get_tensor(self, name: str) -> Any:
            read.append(self.path)
            return self.file.get_tensor(name)

    monkeypatch.setattr(safetensors_checkpoint, "safe_open", Watched)
    models = Models(ModelPaths(str(zoo / "base"), {n: str(zoo / n) for n in "ab"}, device="cpu"))
    assert not read
    models.members[0].source.read("lm_head.weight")
    assert read == [str(zoo / "a" / "model.safetensors")]
