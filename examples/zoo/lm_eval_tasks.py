"""Local lm-eval tasks: one YAML file and one JSONL file for each skill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from string_skills import Document

_TEMPLATE = """\
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: question
doc_to_target: answer
target_delimiter: ""
generation_kwargs:
  until: []
  max_gen_toks: {length}
  do_sample: false
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1
"""


def task_name(skill: str) -> str:
    """Return the lm-eval name of a skill's task."""
    return f"zoo_{skill}"


def write_task(skill: str, documents: Sequence[Document], folder: Path, home: Path) -> None:
    """Write a task that scores greedy answers by exact match.

    Args:
        skill: Name of the skill.
        documents: The evaluation documents.
        folder: Folder to write to.
        home: Folder that the files will be read from, when they have reached their final place.
    """
    name = task_name(skill)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(asdict(document)) for document in documents]
    (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    data = json.dumps(str(home.resolve() / f"{name}.jsonl"))
    length = 1 + max(len(document.answer) for document in documents)  # one token per character, and EOS
    (folder / f"{name}.yaml").write_text(_TEMPLATE.format(name=name, data=data, length=length), encoding="utf-8")
