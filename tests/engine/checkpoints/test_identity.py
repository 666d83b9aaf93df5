"""Members of another model are refused, also where all shapes agree: architecture, heads, vocabulary."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from mergesearch.errors import CheckpointError


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("num_attention_heads", 4, "has num_attention_heads 4, the base has 2"),
        ("model_type", "mistral", "has model_type"),
    ],
)
def test_another_architecture_is_refused(tiny: Any, zoo: Path, tmp_path: Path, key: str, value: Any, text: str) -> None:
    """Also where all shapes agree: heads divide a matrix that looks the same."""
    path = tiny.changed(zoo, tmp_path, lambda tensors: tensors) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(CheckpointError, match=f"member 'a' {text}.*; give a checkpoint fine-tuned from this base"):
        tiny.opened(zoo, path.parent)


def test_another_number_of_heads_is_refused_in_gpt2(tiny: Any, tmp_path: Path) -> None:
    """GPT-2's own name for it."""
    for name in ("base", "a"):
        tiny.gpt2().save_pretrained(tmp_path / name)
    path = tmp_path / "a" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "n_head": 4}))
    with pytest.raises(CheckpointError, match=r"member 'a' has n_head 4, the base has 2"):
        tiny.opened(tmp_path, tmp_path / "a")


def test_parts_of_a_configuration_are_compared_too(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    """As in CLIP, whose towers have a configuration each; of an anchor as well."""
    path = tiny.changed(zoo, tmp_path, lambda tensors: tensors)
    base = tmp_path / "base"
    shutil.copytree(zoo / "base", base)
    for folder, heads in ((base, 2), (path, 4)):
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "text_config": {"num_attention_heads": heads}}))
    with pytest.raises(CheckpointError, match=r"'a' has text_config.num_attention_heads 4, the base has 2"):
        tiny.opened(tmp_path, path)
    with pytest.raises(CheckpointError, match=r"'b's anchor' has text_config.num_attention_heads 4, the base has 2"):
        tiny.opened(tmp_path, zoo / "b", anchors={"b": str(path)})


def test_another_vocabulary_is_refused(tiny: Any, zoo: Path, tmp_path: Path) -> None:
    path = tiny.changed(zoo, tmp_path, lambda tensors: tensors)
    tiny.save_tokenizer(path, ["red", "blue", "green"])
    with pytest.raises(CheckpointError, match=r"another vocabulary: token 'blue' is 2 there and 3 in the base"):
        tiny.opened(zoo, path)
