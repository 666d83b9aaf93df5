"""The main job on the zoo's Llama: search, export, reload, score again, and the same merge by mergekit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from mergesearch import Config, Run, run
from mergesearch.runs.session import open_session

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def keys(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The example's configuration with a small budget, wherever the zoo lies."""
    text = (REPOSITORY / "examples" / "llama.yaml").read_text(encoding="utf-8").replace("zoo/llama", f"{zoo}/llama")
    content: dict[str, Any] = yaml.safe_load(text)
    out = tmp_path_factory.mktemp("runs")
    return {**content, "budget": {"trials": 16}, "samples": {"limit": 60}, "out": str(out)}


@pytest.fixture(scope="module")
def finished(keys: dict[str, Any]) -> Run:
    return run(Config(**keys))


@pytest.fixture(scope="module")
def merged(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last trial, which the searcher proposed, as a model folder."""
    return finished.export(tmp_path_factory.mktemp("export") / "merged", len(finished.records) - 1)


def test_the_files_hold_the_live_weights_bit_for_bit(keys: dict[str, Any], finished: Run, merged: Path) -> None:
    session = open_session(Config(**keys))
    session.bench.write(finished.records[-1].proposal)
    live = session.bench.live.model.state_dict()
    stored = load_file(merged / "model.safetensors")
    assert set(stored) <= set(live) and len(stored) >= len(session.bench.live.tensors())
    assert all(torch.equal(stored[name], live[name]) for name in stored)


def test_transformers_loads_it_and_generates(merged: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(merged)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    stored = load_file(merged / "model.safetensors")
    loaded = model.state_dict()
    assert all(torch.equal(stored[name], loaded[name]) for name in stored)
    prompt = tokenizer("s:abaphdcb=", return_tensors="pt")
    output = model.generate(**prompt, max_new_tokens=9, do_sample=False)
    assert output.shape[1] > prompt["input_ids"].shape[1]


def test_a_fresh_process_measures_the_recorded_scores(keys: dict[str, Any], finished: Run, merged: Path) -> None:
    again = {**keys, "name": "again", "budget": {"trials": 1}, "models": {**keys["models"], "base": str(merged)}}
    script = (
        "import json, sys; from mergesearch import Config, run\n"
        "print(list(run(Config(**json.loads(sys.argv[1]))).records[0].values))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(again)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == list(finished.records[-1].values or ())


def test_mergekit_makes_the_same_model(finished: Run, merged: Path, tmp_path: Path) -> None:
    program = shutil.which("mergekit-yaml", path=str(Path(sys.executable).parent))
    assert program, "mergekit is part of the development dependencies"
    command = [program, str(merged / "mergekit.yaml"), str(tmp_path / "theirs")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours, theirs = load_file(merged / "model.safetensors"), load_file(tmp_path / "theirs" / "model.safetensors")
    assert set(theirs) == set(ours)
    for name, value in ours.items():
        # One rounding: mergekit sums in fp32, one member after another, and adds the base last.
        spacing = torch.finfo(torch.float32).eps * value.abs().clamp(min=1e-3)
        assert bool(((theirs[name] - value).abs() <= 2 * spacing).all()), name


def test_the_recipe_travels_with_the_weights(finished: Run, merged: Path) -> None:
    from safetensors import safe_open

    with safe_open(merged / "model.safetensors", framework="pt") as file:
        recipe = json.loads(file.metadata()["mergesearch"])
    assert recipe == json.loads((merged / "mergesearch.json").read_text(encoding="utf-8"))
    assert recipe["coefficients"] == finished.records[-1].proposal.table.members.tolist()
