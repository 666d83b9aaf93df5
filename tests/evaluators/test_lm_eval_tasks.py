"""Tasks of lm-eval as they are loaded: how many examples they show, and which way their metrics are better."""

from __future__ import annotations

import json
from pathlib import Path

from mergesearch.evaluators._lm_eval.tasks import load_tasks


def test_a_task_that_fixes_no_examples_keeps_none(tasks_folder: Path, tmp_path: Path) -> None:
    """Others take as many as are asked for, or else their own number."""
    content = json.loads((tasks_folder / "tiny_shots.yaml").read_text())
    for name, shots in (("none", 0), ("some", 1), ("any", None)):
        own = {**content, "task": name, "num_fewshot": shots}
        (tmp_path / f"{name}.yaml").write_text(json.dumps(own))
    for asked, expected in ((2, {"none": 0, "some": 2, "any": 2}), (None, {"none": 0, "some": 1, "any": 0})):
        loaded = load_tasks(["none", "some", "any"], str(tmp_path), asked, None)
        assert {name: one.task.get_config("num_fewshot") for name, one in loaded.items()} == expected


def test_a_metric_that_does_not_say_which_way_is_better_counts_as_higher(tasks_folder: Path, tmp_path: Path) -> None:
    content = json.loads((tasks_folder / "tiny_next.yaml").read_text()) | {"task": "own"}
    content["metric_list"] = [{**content["metric_list"][1], "higher_is_better": None}]
    (tmp_path / "own.yaml").write_text(json.dumps(content))
    assert load_tasks(["own"], str(tmp_path), None, None)["own"].directions() == {"acc": True}
    assert load_tasks(["tiny_next"], str(tasks_folder), None, None)["tiny_next"].directions() == {
        "perplexity": False,
        "acc": True,
    }
