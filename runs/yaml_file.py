"""Reads a YAML file whose keys are text; one given twice is an error, not the last one's victory."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from ..errors import InputError

_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _TextKeys(yaml.SafeLoader):
    """PyYAML's safe loader, which would otherwise keep the last of several values, and read a key `on` as True."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Build a mapping whose keys are text, and all differ."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            if isinstance(key_node, yaml.ScalarNode):
                key_node.tag = _TEXT
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise InputError(f"key '{key}' is given twice (again in line {line}); give each key once")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file.

    Raises:
        InputError: no such file, no valid YAML, or a key given twice.
    """
    try:
        return _TextKeys(path.read_text(encoding="utf-8")).get_single_data()
    except FileNotFoundError as error:
        raise InputError(f"no file '{path}'; write one with: mergesearch init MODELS...") from error
    except IsADirectoryError as error:
        raise InputError(f"'{path}' is a folder; give the configuration file itself") from error
    except UnicodeDecodeError as error:
        raise InputError(f"'{path}' is no text in UTF-8; give a YAML file") from error
    except yaml.YAMLError as error:
        raise InputError(f"'{path}' is no valid YAML: {_where(error)}") from error


def _where(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
    return " ".join(str(error).split())
