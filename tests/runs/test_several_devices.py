"""A run on two devices that are not the CPU: the same proposals, scores and gradients as on the CPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from mergesearch.runs.api import run
from mergesearch.runs.config import Config

TWIN = Path(__file__).parents[1] / "engine" / "twin" / "twin.py"
ON_TWO = """
import runpy, sys
runpy.run_path(sys.argv[1])["register"]()
from mergesearch.runs.api import run
from mergesearch.runs.config import load_config
run(load_config(sys.argv[2])).trials.to_csv(sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(os.environ.get("CXX", "c++")) is None, reason="there is no C++ compiler")
def test_a_run_on_two_devices_is_the_run_on_one(make_config: Any, tmp_path: Path) -> None:
    """Evaluators, gradient steps along the losses, and the writes between them; a residual connection is divided."""
    search = {"searcher": "learned_soup", "options": {"rate": 0.5}}
    keys = make_config(search=search, objectives=["flip/loss"], budget__trials=12)
    alone = run(Config(**keys)).trials
    keys["models"]["device"] = {"": "twin:0", "layers.1": "twin:1", "head": "twin:1"}
    keys["name"] = "two"
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(keys, sort_keys=False), encoding="utf-8")
    command = [sys.executable, "-c", ON_TWO, str(TWIN), str(tmp_path / "two.yaml"), str(tmp_path / "two.csv")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    two = pd.read_csv(tmp_path / "two.csv", index_col=0)
    assert list(two.origin) == list(alone.origin) and (two.state == "complete").all() and len(two) == 12
    numbers = alone.drop(columns="seconds").select_dtypes("number")
    pd.testing.assert_frame_equal(two[numbers.columns], numbers, check_dtype=False, rtol=1e-4, atol=1e-5)
