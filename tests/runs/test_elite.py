"""The elite: fresh samples choose the winner among the best trials, and held-out ones still choose nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mergesearch.errors import InputError
from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.session import open_session

from .conftest import MakeConfig


@pytest.fixture
def finished(make_config: MakeConfig) -> Run:
    return run(Config(**make_config(samples={"held_out": 0.4, "fresh": 0.2}, search__scalarise="mean")))


def test_three_parts_share_no_sample(make_config: MakeConfig) -> None:
    session = open_session(Config(**make_config(samples={"held_out": 0.4, "fresh": 0.2})))
    for task, seen in session.search_samples.items():
        parts = [seen, session.held_out[task], session.fresh[task]]
        assert [len(part) for part in parts] == [80, 80, 40]
        assert len(np.unique(np.concatenate(parts))) == 200
    assert "flip 80 + 80 + 40" in session.plan().sample_counts
    assert session.plan().sample_counts.endswith("(search + held-out + fresh)")


def test_the_five_best_are_scored_again_and_the_best_of_them_wins(finished: Run) -> None:
    assert finished.results
    table = finished.trials.set_index("trial")
    distinct = table.drop_duplicates(subset=[name for name in table if str(name).startswith("model |")])
    best = distinct.sort_values("mean", ascending=False, kind="stable").index[:5]
    elite = finished.results.chosen.elite
    assert set(elite) == set(best) == set(table.index[table["mean fresh"].notna()])
    fresh = table.loc[list(elite), "mean fresh"].tolist()
    assert fresh == sorted(fresh, reverse=True)
    assert finished.results.chosen.winner == elite[0] == finished.pick()
    assert table.loc[list(elite), "mean held-out"].notna().all()
    assert f"trial {elite[0]}" in finished.verdict


def test_held_out_scores_choose_nothing(finished: Run) -> None:
    """The winner follows from the fresh scores on file alone."""
    table = pd.read_csv(finished.folder.trials).set_index("trial")
    assert finished.results and finished.results.chosen.winner == table["mean fresh"].idxmax()


def test_all_three_scores_are_reported(finished: Run) -> None:
    report = finished.folder.report.read_text()
    assert "Elite, best on fresh samples first" in report and "mean fresh" in report and "held-out score" in report
    again = Run(finished.folder.path)
    assert again.results == finished.results and again.pick() == finished.pick()


def test_weights_of_ones_own_are_not_overruled(finished: Run) -> None:
    by_search = finished.trials.set_index("trial")["flip/accuracy"]
    assert by_search[finished.pick({"flip/accuracy": 1.0})] == by_search.max()


def test_nothing_is_kept_fresh_unless_asked(make_config: MakeConfig) -> None:
    result = run(Config(**make_config(budget__trials=11)))
    assert result.results and result.results.chosen.elite == () and not result.results.fresh
    assert "mean fresh" not in result.trials and "Elite" not in result.folder.report.read_text()


def test_parts_that_leave_nothing_are_refused(make_config: MakeConfig) -> None:
    with pytest.raises(InputError, match=r"held_out = 0.5 and fresh = 0.5 leave nothing to the search; lower one"):
        open_session(Config(**make_config(samples={"fresh": 0.5})))
