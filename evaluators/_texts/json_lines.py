"""JSON lines: a file with one object on each line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number (from 1) and object of each line that is not empty.

    Raises:
        InputError: no such file, no UTF-8, or a line that is no object (names it).
    """
    for number, line in enumerate(read_utf8(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(
                f"line {number} of '{path}' is no JSON ({error.msg}); write one object per line"
            ) from error
        if not isinstance(content, dict):
            raise InputError(f"line {number} of '{path}' is {line.strip()[:40]!r}; write one object per line")
        yield number, content


def read_utf8(path: Path) -> str:
    """The text of a file.

    Raises:
        InputError: there is none, or it is not UTF-8.
    """
    if not path.is_file():
        raise InputError(f"no file '{path}'; check the path, which is relative to the current folder")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is not UTF-8 text ({error}); convert it") from error
