"""Columns of data sets, from files, folders and the datasets library."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mergesearch.errors import InputError
from mergesearch.evaluators._labelled.columns import read_columns

ROWS = {"text": ['say "hi", twice\nor more', "NA", "three"], "label": [0, 1, 0]}


def _written(folder: Path, ending: str) -> Path:
    import datasets

    path = folder / f"rows.{ending}"
    rows = datasets.Dataset.from_dict(ROWS)
    if ending == "parquet":
        rows.to_parquet(path)
    elif ending == "jsonl":
        rows.to_json(path)
    else:
        rows.to_csv(path, sep="\t" if ending == "tsv" else ",")
    return path


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_every_kind_of_file_has_the_same_columns(tmp_path: Path, ending: str) -> None:
    path = _written(tmp_path, ending)
    assert read_columns("it", str(path), ["text", "label"]).values == ROWS
    assert set(read_columns("it", str(path), ["label"], ["text", "title"]).values) == {"label", "text"}


def test_ids_keep_their_zeros(tmp_path: Path) -> None:
    path = tmp_path / "qrels.tsv"
    path.write_text("query-id\tcorpus-id\tscore\n007\t08\t1\n")
    found = read_columns("it", str(path), ["query-id", "corpus-id", "score"]).values
    assert found == {"query-id": ["007"], "corpus-id": ["08"], "score": [1]}


def test_arguments_of_the_datasets_library_and_names_of_classes(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["no", "yes"])})
    datasets.Dataset.from_dict({"text": ["a", "b"], "label": [1, 0]}, features=features).to_parquet(tmp_path / "x.pq")
    where: dict[str, Any] = {
        "path": "parquet",
        "data_files": {"test": str(tmp_path / "x.pq")},
        "cache_dir": str(tmp_path / "cache"),
    }
    found = read_columns("it", where, ["text", "label"])
    assert found.values == {"text": ["a", "b"], "label": [1, 0]}
    assert found.classes["label"] == ["no", "yes"]
    where["data_files"] = {"train": str(tmp_path / "x.pq"), "test": str(tmp_path / "x.pq")}
    with pytest.raises(InputError, match=r"it: data set .* has splits train, test; give \{path: …, split: …\}"):
        read_columns("it", where, ["text"])
    assert len(read_columns("it", {**where, "split": "test[:1]"}, ["text"]).values["text"]) == 1


def test_a_folder_of_images_by_class(make: Any, tmp_path: Path) -> None:
    folder = make("write_images", tmp_path, 2)
    found = read_columns("it", str(folder), ["image", "label"]).values
    assert found["label"] == ["dots", "dots", "stripes", "stripes"]
    assert [path.name for path in found["image"]] == ["00.png", "01.png"] * 2


def test_unusable_data_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "label": 1}\n{"text": null, "label": 0}\n')
    with pytest.raises(InputError, match=r"it: no file 'nowhere\.csv'; check the path"):
        read_columns("it", "nowhere.csv", ["text"])
    with pytest.raises(InputError, match=r"it: '.*rows\.jsonl' has no column 'txt'; did you mean 'text'"):
        read_columns("it", str(path), ["txt"])
    with pytest.raises(InputError, match=r"it: row 2 of '.*rows\.jsonl' has no 'text'; fill it in, or remove the row"):
        read_columns("it", str(path), ["text"])
    path.write_text('{"text": "a"}\n{"text": 3}\n')
    with pytest.raises(InputError, match=r"it: row 2 of '.*rows\.jsonl' has 3 as 'text', and row 1 'a'; make them al"):
        read_columns("it", str(path), ["text"])
    path.write_text('{"text": "a"}\n' * 16 + '{"text": \n')
    with pytest.raises(InputError, match=r"line 17 of '.*rows\.jsonl' is no JSON \(Expecting value\); write one obj"):
        read_columns("it", str(path), ["text"])
    with pytest.raises(InputError, match=r"it: data set \{'split': 'test'\} has no path; give a file, or what"):
        read_columns("it", {"split": "test"}, ["text"])
    with pytest.raises(InputError, match=f"it: '{tmp_path}' has no images; lay them out as class/file"):
        read_columns("it", str(tmp_path), ["image"])
    with pytest.raises(InputError, match=r"it: datasets\.load_dataset failed with .*; --debug shows where"):
        read_columns("it", "nobody/nothing", ["text"])
    empty = tmp_path / "empty.csv"
    empty.write_text("text,label\n")
    with pytest.raises(InputError, match=r"it: '.*empty\.csv' has no rows; give one with some"):
        read_columns("it", str(empty), ["text"])
