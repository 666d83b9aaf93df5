"""The cache of evaluations: no sample of a candidate is scored twice, in one run or in several."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mergesearch.errors import InputError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs.api import run
from mergesearch.runs.config import Config
from mergesearch.runs.evaluation_cache import EvaluationCache, Known

from .conftest import MakeConfig

ROWS = st.sets(st.integers(0, 40), min_size=1, max_size=20).map(lambda rows: np.array(sorted(rows)))


def mean_of(rows: np.ndarray) -> dict[str, dict[str, MetricScores]]:
    return {"task": {"square": MetricScores.mean(rows.astype(float) ** 2)}}


@given(st.lists(ROWS, max_size=4), ROWS)
def test_only_what_is_missing_is_asked_for(evaluated: list[np.ndarray], wanted: np.ndarray) -> None:
    known = Known([(mean_of(rows), {"task": rows}) for rows in evaluated])
    missing = known.missing("task", wanted, ["square"])
    seen = {int(row) for rows in evaluated for row in rows}
    assert missing.tolist() == [row for row in wanted.tolist() if row not in seen]
    whole = Known([*known.parts, (mean_of(missing), {"task": missing})]) if len(missing) else known
    found = whole.scores("task", wanted)["square"]
    assert found.samples is not None and found.samples.tolist() == (wanted.astype(float) ** 2).tolist()
    assert found.value == MetricScores.mean(wanted.astype(float) ** 2).value


def test_a_metric_without_values_per_sample_is_known_on_its_very_samples_alone(tmp_path: Path) -> None:
    rows, fewer = np.arange(10), np.arange(5)
    items = rows.astype(float)
    scores = {"task": {"f1": MetricScores.aggregate(items, np.mean), "accuracy": MetricScores.mean(items)}}
    EvaluationCache(tmp_path).add("key", scores, {"task": rows})
    known = EvaluationCache(tmp_path).known("key")
    assert not len(known.missing("task", rows, ["f1", "accuracy"]))
    found = known.scores("task", rows)["f1"]
    expected = scores["task"]["f1"].replicates
    assert found.replicates is not None and expected is not None and np.array_equal(found.replicates, expected)
    assert known.missing("task", fewer, ["f1"]).tolist() == fewer.tolist()
    assert not len(known.missing("task", fewer, ["accuracy"])) and list(known.scores("task", fewer)) == ["accuracy"]


def test_a_task_of_which_nothing_is_known_per_sample_keeps_its_samples(tmp_path: Path) -> None:
    rows = np.array([3, 5, 8])
    EvaluationCache(tmp_path).add("key", {"task": {"f1": MetricScores.aggregate([1, 0, 1], np.mean)}}, {"task": rows})
    known = EvaluationCache(tmp_path).known("key")
    assert not len(known.missing("task", rows, ["f1"])) and len(known.missing("task", rows + 1, ["f1"])) == 3


def test_a_damaged_file_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache, rows = EvaluationCache(tmp_path), np.arange(4)
    cache.add("key", mean_of(rows), {"task": rows})
    (path,) = tmp_path.rglob("*.parquet")
    path.write_bytes(b"torn")
    assert EvaluationCache(tmp_path).known("key").parts == []
    assert f"'{path}' was damaged, and is removed; its scores will be evaluated again" in caplog.text
    assert not path.exists()


def test_a_cache_that_cannot_be_written_is_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cache '.*file' is no folder that can be written to \('.*file'\)"):
        run(Config(**make_config(cache=str(tmp_path / "file"))))


def test_runs_that_share_a_cache_may_run_at_once(make_config: MakeConfig) -> None:
    """They write the same evaluations at the same time."""
    configs = [Config(**make_config(name=name, cache=None)) for name in ("one", "two")]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        one, two = pool.map(values_of, configs)
    assert one == two


def values_of(config: Config) -> list[object]:
    return [record.values for record in run(config).records]


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Mapping[str, np.ndarray]]:
    """What the evaluator is asked for from now on."""
    score, calls = DataLoaderEvaluator.score, []

    def counting(self: DataLoaderEvaluator, model: Any, samples: Mapping[str, np.ndarray]) -> Any:
        calls.append(samples)
        return score(self, model, samples)

    monkeypatch.setattr(DataLoaderEvaluator, "score", counting)
    return calls


def test_another_run_evaluates_nothing_that_is_known(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(Config(**make_config(name="first")))
    calls = counted(monkeypatch)
    second = run(Config(**make_config(name="second")))
    assert not calls
    assert [one.values for one in second.records] == [one.values for one in first.records]
    assert second.verdict == first.verdict
    apart = run(Config(**make_config(name="apart", cache=str(second.folder.path / "own"))))
    assert calls and [one.values for one in apart.records] == [one.values for one in first.records]


def test_more_samples_cost_only_those_that_are_new(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on a larger share of the samples goes on where the smaller one stopped."""
    few = {"held_out": 0.5, "limit": 60}
    run(Config(**make_config(name="few", samples=few, racing="off", budget__trials=8)))
    calls = counted(monkeypatch)
    more = run(Config(**make_config(name="more", samples={**few, "limit": 120}, racing="off", budget__trials=8)))
    asked = sum(len(rows) for samples in calls for rows in samples.values())
    monkeypatch.undo()
    out = Path(more.folder.path).parent / "elsewhere"
    alone = run(Config(**make_config(samples={**few, "limit": 120}, racing="off", budget__trials=8, out=str(out))))
    assert [one.values for one in more.records] == [one.values for one in alone.records]
    whole = sum(map(sum, more.plan.samples.values())) * 8
    assert 0 < asked < 0.8 * whole
