"""Where the deltas lie is no part of what a run finds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mergesearch.runs.api import run
from mergesearch.runs.config import Config

from .conftest import MakeConfig


@pytest.mark.slow
def test_a_run_is_resumed_from_a_file_that_another_one_filled(make_config: MakeConfig, tmp_path: Path) -> None:
    file = tmp_path / "kept.bank"
    whole = run(Config(**make_config(budget__trials=12)))
    run(Config(**make_config(budget__trials=8, out=str(tmp_path / "again"))))
    in_file = make_config(budget__trials=12, out=str(tmp_path / "again"), models__tier="file", models__bank=str(file))
    resumed = run(Config(**in_file))
    opened = run(Config(**{**in_file, "name": "later"}))
    assert file.is_file()
    columns = [name for name in map(str, whole.trials) if "second" not in name and "time" not in name]
    for other in (resumed, opened):
        pd.testing.assert_frame_equal(whole.trials[columns], other.trials[columns])
