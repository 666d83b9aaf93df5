"""Classifiers that number the same classes differently are refused, unless their heads stay out of the merge."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mergesearch.engine.models import ModelPaths, Models
from mergesearch.errors import CheckpointError

NAMES = ("no", "maybe", "yes")


def saved(path: Path, names: tuple[str, ...] | None) -> Path:
    """A tiny BERT that tells three classes, of these names or of none."""
    from transformers import BertConfig, BertForSequenceClassification

    sizes: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    labels = dict(enumerate(names or ("LABEL_0", "LABEL_1", "LABEL_2")))
    numbers = {label: number for number, label in labels.items()}
    config = BertConfig(**sizes, vocab_size=9, max_position_embeddings=8, id2label=labels, label2id=numbers)
    BertForSequenceClassification(config).save_pretrained(path)
    return path


def opened(folder: Path, base: tuple[str, ...] | None, *members: tuple[str, ...] | None, **options: Any) -> Models:
    paths = {f"m{place}": str(saved(folder / f"m{place}", names)) for place, names in enumerate(members)}
    return Models(ModelPaths(base=str(saved(folder / "base", base)), members=paths, **options))


def test_another_order_is_refused(tmp_path: Path) -> None:
    text = (
        r"member 'm1' has classes 0 'yes', 2 'no', and the base 0 'no', 2 'yes': merged heads would mix them; .*"
        r"\(models\.ignore: \['classifier\.\*'\]\) and give each task its own"
    )
    with pytest.raises(CheckpointError, match=text):
        opened(tmp_path, NAMES, NAMES, ("Yes", "Maybe", "No"))


def test_another_order_of_two_members_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"member 'm2' has classes 0 'b', 1 'a', and member 'm0' 0 'a', 1 'b'"):
        opened(tmp_path, None, ("a", "b", "c"), None, ("b", "a", "c"))


@pytest.mark.parametrize("names", [("NO", "Maybe", "yes"), ("bad", "fair", "good"), None])
def test_the_same_order_and_other_names_are_not(tmp_path: Path, names: tuple[str, ...] | None) -> None:
    assert opened(tmp_path, NAMES, names).names == ["m0"]


def test_heads_that_stay_out_may_number_as_they_like(tmp_path: Path) -> None:
    assert opened(tmp_path, NAMES, NAMES[::-1], ignore=("classifier.*",)).names == ["m0"]
