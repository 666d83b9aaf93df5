"""What a real run's tables and report say of noise: intervals, ties, stopped trials, signal."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mergesearch.runs.api import Run, run
from mergesearch.runs.config import Config
from mergesearch.runs.outcome.ties import TIE, WINNER, WORSE
from mergesearch.runs.report.reading import glance

from .conftest import MakeConfig

EAGER = {"first": 8, "false_stops": 0.4}
WIDE = {"groups": "model", "kind": "box", "low": -2.0, "high": 2.0}
NAMES = ["flip/accuracy", "invert/accuracy"]


@pytest.fixture
def raced(make_config: MakeConfig) -> Run:
    return run(Config(**make_config(racing=EAGER, space=WIDE, budget__trials=40)))


def table_under(report: Path, title: str) -> pd.DataFrame:
    """The table that follows a title of the report."""
    text = report.read_text().partition(f"<h2>{title}</h2>")[2]
    rows = re.findall(r"<tr.*?</tr>", text.partition("</table>")[0], re.DOTALL)
    cells = [re.findall(r"<t[hd]>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return pd.DataFrame(cells[1:], columns=cells[0])


def test_the_front_has_intervals_of_its_held_out_scores(raced: Run) -> None:
    front = pd.read_csv(raced.folder.front)
    held_out = raced.plan.samples["flip"][1]
    for row in front.to_dict("records"):
        for name in NAMES:
            right = round(row[f"{name} held-out"] * held_out)
            expected = stats.binomtest(right, held_out).proportion_ci(0.95, method="wilson")
            assert (row[f"{name} low"], row[f"{name} high"]) == pytest.approx((expected.low, expected.high))
        assert row["mean low"] < row["mean held-out"] < row["mean high"]
    shown = table_under(raced.folder.report, "Front")
    first = front.iloc[0]
    wanted = f"→ {first['mean held-out']:.3f} [{first['mean low']:.3f}, {first['mean high']:.3f}]"
    assert shown["mean"][0].endswith(wanted) and shown["mean"][0].startswith(f"{first['mean']:.3f}")
    assert len(shown) == len(front) and "its 95 % interval" in raced.folder.report.read_text()


def test_a_terminal_shows_every_score_with_its_error(raced: Run, make_config: MakeConfig) -> None:
    """Of search samples in brackets; with one objective the mean is no column of its own."""
    every = glance(raced.trials, raced.plan, len(raced.front))
    for name in ("flip", "invert", "mean", "searched"):
        assert every[name].map(lambda cell: bool(re.search(r"\d ± \d|^$", cell))).all()
    judged, stopped = raced.trials["mean held-out"].notna(), raced.trials["samples"] < 1
    assert (every["flip"].str.startswith("(") == ~judged).all()
    assert (every["searched"].str.endswith(" %)") == stopped).all()
    one = run(Config(**make_config(name="one", objectives=NAMES[:1], budget__trials=8)))
    alone = glance(one.trials, one.plan, 1)
    assert list(alone)[-2:] == ["flip", "searched"]


def test_ties_are_shown_as_ties(raced: Run) -> None:
    trials = raced.trials.set_index("trial")
    front = trials[trials["front"]]
    assert raced.results and front.index[front["against winner"] == WINNER].tolist() == [raced.results.chosen.winner]
    tied = {number: {int(other) for other in cell.split()} for number, cell in front["tied with"].items()}
    assert all(number in tied[other] for number, others in tied.items() for other in others)
    assert (trials["tied with"][~trials["front"]] == "").all()
    base = trials[trials["origin"] == "base"].iloc[0]
    assert base["against winner"] == WORSE, "far below the winner on 100 samples"
    shown = table_under(raced.folder.report, "Front").set_index("trial")["tied with"]
    for number, others in tied.items():
        count = {0: "none", len(front) - 1: f"all {len(front) - 1}"}.get(len(others), f"{len(others)} of")
        assert shown[str(number)].startswith(count)


def test_twins_tie(make_config: MakeConfig) -> None:
    """Two members that are the same file, and what it takes from either, cannot be told apart."""
    keys = make_config(budget__trials=14)
    keys["models"]["members"]["twin"] = keys["models"]["members"]["flip"]
    trials = run(Config(**keys)).trials.set_index("origin")
    both = trials.loc[["member flip", "member twin"]]
    assert set(both["against winner"]) in ({WINNER, TIE}, {TIE}, {WORSE}) and both["mean"].nunique() == 1


def test_stopped_trials_are_marked_wherever_their_scores_stand(raced: Run) -> None:
    table = pd.read_csv(raced.folder.trials)
    stopped = table[table["samples"] < 1]
    assert len(stopped) >= 10 and not stopped["front"].any()
    for row, record in zip(table.to_dict("records"), raced.records, strict=True):
        assert row["samples"] == record.visited
        assert row["state"] == ("complete" if record.whole else f"stopped at {100 * record.visited:.0f} %")
    report = raced.folder.report.read_text()
    share = 100 * np.mean([record.visited for record in raced.records])
    line = f"Racing: {len(stopped)} of 40 trials stopped early; {share:.0f} % of the sample evaluations of a full run."
    assert line in report
    shown = table_under(raced.folder.report, "Stopped early")
    assert shown["trial"].tolist() == [str(number) for number in stopped["trial"]]
    first = stopped.iloc[0]
    mark = f"{first['flip/accuracy']:.3f} ({100 * first['samples']:.0f} %)"
    assert shown["flip/accuracy"][0].startswith(mark) and "%)" not in "".join(
        table_under(raced.folder.report, "Front")[NAMES[0]]
    )


def test_without_held_out_samples_the_intervals_say_so(make_config: MakeConfig) -> None:
    done = run(Config(**make_config(samples={"held_out": 0}, racing="off")))
    front = done.front
    assert (front["flip/accuracy low"] < front["flip/accuracy"]).all()
    assert "too hopeful of trials that these scores chose: nothing was held out" in done.folder.report.read_text()
    assert done.results and done.results.optimism == "" and done.results.front_signals == {}


def test_signal_and_noise_of_every_objective(raced: Run) -> None:
    assert raced.results
    whole = {record.key for record in raced.records if record.whole}
    assert set(raced.results.signals) == {*NAMES, "weighted mean"}
    assert {one.candidates for one in raced.results.signals.values()} == {len(whole)}
    shown = table_under(raced.folder.report, "Signal and noise").set_index("objective")
    for name, one in raced.results.signals.items():
        assert shown["ratio"][name] == f"{one.ratio:.1f}" and shown["samples"][name] == str(one.samples)


def test_a_task_that_separates_nothing_is_warned_of(
    make_config: MakeConfig, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A box so small that all candidates are all but the base, on twenty samples."""
    from mergesearch.cli import _show_front

    keys = make_config(
        space={"groups": "model", "kind": "box", "low": 0.0, "high": 0.02},
        search__baselines=["base"],
        samples={"limit": 40},
        objectives=["flip/accuracy"],
    )
    done = run(Config(**keys))
    assert done.results
    (one,) = done.results.signals.values()
    assert not one.separates
    text = "flip/accuracy cannot separate the"
    assert text in done.folder.report.read_text() and "samples that would do:" in done.folder.report.read_text()
    _show_front(done)
    printed = capsys.readouterr().out
    assert text in printed and "Signal to noise between candidates" in printed


def test_noise_is_warned_of_before_the_search(make_config: MakeConfig, caplog: pytest.LogCaptureFixture) -> None:
    keys = make_config(
        samples={"limit": 12},
        search__baselines=["base", "task arithmetic 0.2", "task arithmetic 0.3"],
        objectives=["upright/accuracy"],
        budget__trials=4,
    )
    run(Config(**keys))
    assert "upright/accuracy cannot separate the 3 baselines" in caplog.text
    caplog.clear()
    run(Config(**{**keys, "budget": {"trials": 6}}))
    assert "cannot separate" not in caplog.text, "said once in a run"
