"""Columns of a data set: from a file, from a folder of images by class, or from anything that `datasets` loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError, nearest
from ...plugins import call_user
from .._texts.json_lines import read_json_lines

Where = str | Mapping[str, Any]
IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
_FILES = (".jsonl", ".csv", ".tsv", ".parquet")
IDS = ("_id", "id", "query-id", "corpus-id")


@dataclass(frozen=True)
class Columns:
    """Some columns of a data set.

    Attributes:
        values: column name -> one value per row.
        classes: column name -> names of the classes that its numbers stand for, where the data set has them.
    """

    values: Mapping[str, Sequence[Any]]
    classes: Mapping[str, Sequence[str]]


def read_columns(what: str, where: Where, wanted: Sequence[str], optional: Sequence[str] = ()) -> Columns:
    """Read some columns into memory.

    Args:
        what: whose data they are, for messages.
        where: path of a file (.jsonl, .csv, .tsv or .parquet); of a folder `class/file` of images, whose columns are
            `image` and `label`; a name on the Hugging Face hub; or the arguments of `datasets.load_dataset`.
        wanted: names of columns.
        optional: names of columns that may be missing, as may be their values.

    Raises:
        InputError: nothing there, or nothing that can be read; no rows; a column or a value is missing; names it.
    """
    found = _read(what, where)
    if not found.values:
        raise InputError(f"{what}: {_shown(where)} has no rows; give one with some")
    missing = [name for name in wanted if name not in found.values]
    if missing:
        raise InputError(f"{what}: {_shown(where)} has no column '{missing[0]}'; {nearest(missing[0], found.values)}")
    chosen = {name: list(found.values[name]) for name in wanted}
    for name, values in chosen.items():
        _check(what, _shown(where), name, values)
    further = {name: list(found.values[name]) for name in optional if name in found.values}
    return Columns(chosen | further, found.classes)


def _check(what: str, where: str, name: str, values: Sequence[Any]) -> None:
    if not values:
        raise InputError(f"{what}: {where} has no rows; give one with some")
    for row, value in enumerate(values, start=1):
        if value is None:
            raise InputError(f"{what}: row {row} of {where} has no '{name}'; fill it in, or remove the row")
        if isinstance(value, str) != isinstance(values[0], str):
            raise InputError(
                f"{what}: row {row} of {where} has {value!r} as '{name}', and row 1 {values[0]!r}; make them alike"
            )


def _read(what: str, where: Where) -> Columns:
    arguments = {"path": where} if isinstance(where, str) else dict(where)
    if not arguments.get("path"):
        raise InputError(f"{what}: {_shown(where)} has no path; give a file, or what datasets.load_dataset takes")
    path = Path(where).expanduser() if isinstance(where, str) else None
    if path and path.is_dir():
        return _images(what, path)
    if path and (path.is_file() or path.suffix in _FILES):
        if not path.is_file():
            raise InputError(f"{what}: no file '{path}'; check the path, which is relative to the current folder")
        return Columns(call_user(f"{what}: reading '{path}'", _file, path=path), {})
    return _library(what, where, call_user(f"{what}: datasets.load_dataset", _load, arguments=arguments))


def _file(path: Path) -> dict[str, list[Any]]:
    from pyarrow import csv, parquet

    if path.suffix == ".jsonl":
        rows = [row for _, row in read_json_lines(path)]
        return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
    else:
        options = csv.ParseOptions(delimiter="\t" if path.suffix == ".tsv" else ",", newlines_in_values=True)
        names = csv.ConvertOptions(column_types=dict.fromkeys(IDS, "string"))  # 007 stays what it is
        table = csv.read_csv(path, parse_options=options, convert_options=names)
    return {name: table[name].to_pylist() for name in table.column_names}


def _images(what: str, folder: Path) -> Columns:
    paths = sorted(path for path in folder.glob("*/*") if path.suffix.lower() in IMAGES)
    if not paths:
        raise InputError(f"{what}: '{folder}' has no images; lay them out as class/file, or give a file or data set")
    return Columns({"image": paths, "label": [path.parent.name for path in paths]}, {})


def _load(arguments: Mapping[str, Any]) -> Any:
    from datasets import load_dataset

    return load_dataset(**arguments)


def _library(what: str, where: Where, found: Any) -> Columns:
    if isinstance(found, Mapping):
        if len(found) > 1:
            raise InputError(f"{what}: {_shown(where)} has splits {', '.join(found)}; give {{path: …, split: …}}")
        found = next(iter(found.values()))
    classes = {name: kind.names for name, kind in found.features.items() if hasattr(kind, "names")}
    return Columns({name: found[name] for name in found.column_names}, classes)


def _shown(where: Where) -> str:
    return f"'{where}'" if isinstance(where, str) else f"data set {dict(where)}"
