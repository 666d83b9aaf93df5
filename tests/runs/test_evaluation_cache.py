"""The cache of evaluations: no sample of a candidate is scored twice, in one run or in several."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from mergesearch.errors import InputError
from mergesearch.evaluators.dataloader import DataLoaderEvaluator
from mergesearch.evaluators.statistics.scores import MetricScores
from mergesearch.runs import identity
from mergesearch.runs.api import run
from mergesearch.runs.config import Config
from mergesearch.runs.driver import Silent
from mergesearch.runs.evaluation_cache import EvaluationCache, Known
from mergesearch.runs.evaluation_file import append_part, read_parts
from mergesearch.runs.record import Proposal, TrialRecord
from mergesearch.runs.session import open_session
from mergesearch.spaces.table import CoefficientTable

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


def test_a_torn_or_changed_line_is_evaluated_again_and_others_are_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, more = np.arange(4), np.arange(4, 9)
    append_part(tmp_path / "one", mean_of(rows), {"task": rows})
    first = (tmp_path / "one").read_bytes()
    append_part(tmp_path / "one", mean_of(more), {"task": more})
    whole = (tmp_path / "one").read_bytes()
    for length in range(len(first) + 2, len(whole)):
        (tmp_path / "torn").write_bytes(whole[:length])
        assert same_parts(read_parts(tmp_path / "torn"), [(mean_of(rows), {"task": rows})])
    assert f"'{tmp_path / 'torn'}' is damaged in part; the scores that are lost will be evaluated again" in caplog.text
    append_part(tmp_path / "torn", mean_of(more), {"task": more})
    assert len(read_parts(tmp_path / "torn")) == 2, "what follows the torn line is whole"
    for place in range(1, len(first)):
        changed = bytearray(first)
        changed[place] ^= 1
        (tmp_path / "changed").write_bytes(changed)
        assert read_parts(tmp_path / "changed") == []


@pytest.mark.parametrize("content", [b"", b"\n\n", b"PAR1 of an older version", b"\x00" * 4096])
def test_a_file_that_is_none_of_ours_tells_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ke").mkdir()
    (tmp_path / "ke" / "key.scores").write_bytes(content)
    cache, rows = EvaluationCache(tmp_path), np.arange(4)
    assert cache.known("key").parts == []
    cache.add("key", mean_of(rows), {"task": rows})
    assert not len(EvaluationCache(tmp_path).known("key").missing("task", rows, ["square"]))


def test_numbers_come_back_bit_for_bit(tmp_path: Path) -> None:
    values = np.array([0.1 + 0.2, -0.0, 5e-324, 1e300])
    scores = {
        "tâche/1": {"a": MetricScores(1 / 3, values, np.array([np.nan, 1.0])), "b": MetricScores(2.0, None, None)}
    }
    append_part(tmp_path / "new" / "file", scores, {"tâche/1": np.array([3, 5, 8, 2**40])})
    ((found, samples),) = read_parts(tmp_path / "new" / "file")
    assert samples["tâche/1"].tolist() == [3, 5, 8, 2**40]
    one, other = found["tâche/1"]["a"], found["tâche/1"]["b"]
    assert one.samples is not None and one.samples.tobytes() == values.tobytes() and one.value == 1 / 3
    assert one.replicates is not None and np.isnan(one.replicates[0])
    assert other == MetricScores(2.0, None, None)


def test_processes_that_append_to_one_file_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        list(pool.map(append_many, [tmp_path / "file"] * 2, [0, 1000]))
    found = sorted(int(samples["task"][0]) for _, samples in read_parts(tmp_path / "file"))
    assert found == [*range(200), *range(1000, 1200)]


def append_many(path: Path, first: int) -> None:
    for row in range(first, first + 200):
        rows = np.arange(row, row + 1500)  # longer than the buffers of files
        append_part(path, mean_of(rows), {"task": rows})


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    rows, cache = np.arange(4), EvaluationCache(tmp_path)
    assert not cache.known("key").parts
    (tmp_path / "ke").mkdir()
    (tmp_path / "ke" / "key.scores").symlink_to("/dev/full")  # where every write fails so
    with pytest.raises(InputError, match=r"\.scores' cannot be written \(No space left on device\); make room"):
        cache.add("key", mean_of(rows), {"task": rows})


def test_opening_a_large_cache_reads_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.arange(4)
    cache = EvaluationCache(tmp_path)
    for number in range(300):
        cache.add(f"{number:032x}", mean_of(rows), {"task": rows})
    opened: list[Path] = []
    read = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: opened.append(self) or read(self))  # type: ignore[func-returns-value]
    cache = EvaluationCache(tmp_path)
    assert not opened
    assert len(cache.known(f"{7:032x}").parts) == 1 and len(opened) == 1


def same_parts(found: list[Any], wanted: list[Any]) -> bool:
    def plain(parts: list[Any]) -> list[Any]:
        numbers = [scores["task"]["square"] for scores, _ in parts]
        return [
            (one.value, one.samples.tolist(), rows["task"].tolist())
            for one, (_, rows) in zip(numbers, parts, strict=True)
        ]

    return plain(found) == plain(wanted)


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


def asked(calls: list[Mapping[str, np.ndarray]]) -> int:
    return sum(len(rows) for samples in calls for rows in samples.values())


PLAIN = {"racing": "off", "budget__trials": 8}


def test_candidates_are_known_whatever_space_and_groups_led_to_them(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Base, members, soups and task arithmetic are the same weights under other groups, and have another x."""
    baselines = {"searcher": "uniform", "baselines": ["*"]}
    first = run(Config(**make_config(name="first", search=baselines, **PLAIN)))
    calls = counted(monkeypatch)
    spaces: list[dict[str, Any]] = [
        {"groups": "layers", "kind": "box"},
        {"groups": "tensors", "kind": "affine", "low": -2.0, "high": 2.0},
    ]
    others = [run(Config(**make_config(name=one["kind"], space=one, search=baselines, **PLAIN))) for one in spaces]
    assert not calls
    monkeypatch.undo()
    for one, other in zip(spaces, others, strict=True):
        alone = make_config(name=f"{one['kind']}-alone", space=one, search=baselines, cache="alone", **PLAIN)
        alone["cache"] = str(other.folder.path / "alone")
        known = {record.proposal.origin: record.values for record in first.records}
        fresh = {record.proposal.origin: record.values for record in run(Config(**alone)).records}
        shared = {origin: values for origin, values in known.items() if origin in fresh}
        assert len(shared) >= 5
        assert shared == {origin: fresh[origin] for origin in shared}


@pytest.mark.parametrize(
    "changes",
    [
        {"models__storage": "fp16"},
        {"models__transform": {"kind": "trim", "density": 0.5}},
        {"evaluators": "batch_size"},
        {"evaluators": "dataset"},
        {"models": "order"},
        {"models": "weights"},
    ],
    ids=str,
)
def test_what_scores_depend_on_is_told_apart(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Nothing is taken from a run whose weights or evaluators differ in what may change a score."""
    run(Config(**make_config(name="first", **PLAIN)))
    keys = changed_keys(make_config(name="second", **PLAIN), changes, tmp_path)
    calls = counted(monkeypatch)
    second = run(Config(**keys))
    within = asked(calls)
    calls.clear()
    alone = run(Config(**{**keys, "name": "alone", "cache": str(tmp_path / "alone")}))
    assert within == asked(calls) > 0
    assert [one.values for one in second.records] == [one.values for one in alone.records]


def changed_keys(keys: dict[str, Any], changes: dict[str, Any], folder: Path) -> dict[str, Any]:
    ((path, change),) = changes.items()
    section, _, key = path.partition("__")
    if key:
        return {**keys, section: {**keys[section], key: change}}
    digits, models = keys["evaluators"]["digits"], keys["models"]
    if change == "batch_size":
        digits["batch_size"] = 32
    if change == "dataset":
        source = Path(digits["dataset"].partition(":")[0]).read_text()
        (folder / "other.py").write_text(source.replace("[-200:]", "[-201:-1]"))
        digits["dataset"] = f"{folder / 'other.py'}:dataset"
    if change == "order":
        models["members"] = dict(reversed(models["members"].items()))
    if change == "weights":
        state = load_file(models["members"]["flip"])
        save_file({name: value * 1.0001 for name, value in state.items()}, folder / "flip.safetensors")
        models["members"] = {**models["members"], "flip": str(folder / "flip.safetensors")}
    return keys


def test_another_version_of_the_package_trusts_itself_alone(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(Config(**make_config(name="first", **PLAIN)))
    monkeypatch.setattr(identity, "__version__", "0.0.1")
    calls = counted(monkeypatch)
    second = run(Config(**make_config(name="second", **PLAIN)))
    assert calls and [one.values for one in second.records] == [one.values for one in first.records]


def test_signs_of_zero_make_no_other_candidate_and_the_last_bit_does(make_config: MakeConfig) -> None:
    bench = open_session(Config(**make_config())).bench

    def key(*row: float) -> str:
        return bench.identities.evaluation(Proposal(CoefficientTable.of(np.array([row])), "x"), "flip")

    assert key(0.0, 0.3, 1.0) == key(-0.0, 0.3, 1.0)
    assert key(0.0, 0.3, 1.0) != key(0.0, 0.1 + 0.2, 1.0), "no candidate is taken for its neighbour"


def test_a_cache_that_is_deleted_under_a_run_is_filled_again(make_config: MakeConfig) -> None:
    whole = run(Config(**make_config(name="whole")))

    class Deleting(Silent):
        def trial(self, records: Sequence[TrialRecord]) -> None:
            if len(records) == 10:
                shutil.rmtree(Path(config.out) / ".cache")

    config = Config(**make_config(name="deleting"))
    assert [one.values for one in run(config, Deleting()).records] == [one.values for one in whole.records]


def test_more_samples_cost_only_those_that_are_new(make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run on a larger share of the samples goes on where the smaller one stopped."""
    few = {"held_out": 0.5, "limit": 60}
    run(Config(**make_config(name="few", samples=few, racing="off", budget__trials=8)))
    calls = counted(monkeypatch)
    more = run(Config(**make_config(name="more", samples={**few, "limit": 120}, racing="off", budget__trials=8)))
    few_more = asked(calls)
    monkeypatch.undo()
    out = Path(more.folder.path).parent / "elsewhere"
    alone = run(Config(**make_config(samples={**few, "limit": 120}, racing="off", budget__trials=8, out=str(out))))
    assert [one.values for one in more.records] == [one.values for one in alone.records]
    whole = sum(map(sum, more.plan.samples.values())) * 8
    assert 0 < few_more < 0.8 * whole
