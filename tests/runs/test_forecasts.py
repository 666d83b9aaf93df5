"""What MAP predicted of its trials stands beside what came out, in the table and in the report."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config

from .conftest import MakeConfig


def test_predictions_stand_beside_scores(make_config: MakeConfig) -> None:
    done = run(Config(**make_config(search={"searcher": "map", "seed": 0}, budget__trials=20)))
    table = Run(done.folder.path).trials
    chosen = table[table["flip/accuracy predicted"].notna()]
    assert len(chosen) >= 3
    assert set(chosen["origin"]) == {"map"}
    missed = chosen["flip/accuracy predicted"] - chosen["flip/accuracy"]
    spread = np.ptp(table["flip/accuracy"])
    assert missed.abs().mean() < 0.25 * spread
    page = done.folder.report.read_text(encoding="utf-8")
    assert "Predicted and real" in page
    assert "mean absolute error" in page
    assert "flip/accuracy predicted" in pd.read_csv(done.folder.trials).columns


def test_of_a_mean_the_mean_is_predicted(make_config: MakeConfig) -> None:
    search = {"searcher": "map", "seed": 0, "scalarise": "mean"}
    table = run(Config(**make_config(search=search, budget__trials=20))).trials
    chosen = table[table["mean predicted"].notna()]
    assert len(chosen)
    assert (chosen["mean predicted"] - chosen["mean"]).abs().mean() < 0.25 * np.ptp(table["mean"])


@pytest.mark.parametrize("searcher", ["random", "nsga2"])
def test_others_predict_nothing(make_config: MakeConfig, searcher: str) -> None:
    done = run(Config(**make_config(search={"searcher": searcher, "seed": 0}, budget__trials=12)))
    assert not done.results or not done.results.predicted
    assert not [name for name in done.trials if str(name).endswith("predicted")]
    assert "Predicted and real" not in done.folder.report.read_text(encoding="utf-8")
