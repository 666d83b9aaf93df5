"""Every example configuration is valid YAML with known keys, and names files that the zoo makes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mergesearch.runs.config import Config, load_config

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_configuration_loads(path: Path) -> None:
    config = load_config(path)
    assert config.name.startswith("zoo-")


def test_the_readme_names_only_what_there_is() -> None:
    text = (EXAMPLES.parent / "README.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("http") or (EXAMPLES.parent / link).exists(), link


def test_the_key_reference_has_every_key() -> None:
    text = (EXAMPLES.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
    for section, field in Config.model_fields.items():
        assert re.search(rf"\b{section}\b", text), section
        keys = getattr(field.annotation, "model_fields", {})
        assert [key for key in keys if f"{key}:" not in text] == [], section
