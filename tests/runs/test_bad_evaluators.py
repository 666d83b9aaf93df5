"""Evaluators that go wrong in whole runs: a message on the trial, and the run goes on; or no run at all."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError
from mergesearch.runs.api import run
from mergesearch.runs.config import Config
from mergesearch.runs.report.reading import glance

from ..engine.saved import llama, save_adapter, save_tokenizer
from .conftest import BED, MakeConfig

FAULTY = f"{Path(__file__).with_name('faulty.py')}:Faulty"
WORDS = ("red", "green", "blue", "black", "white")


def config(make_config: MakeConfig, evaluator: dict[str, Any], objective: str, **changes: Any) -> Config:
    changes = {"racing": "off", "budget__trials": 10, "samples": {"held_out": 0.4}, **changes}
    return Config(**make_config(evaluators={"own": evaluator}, objectives=[objective], **changes))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("raises", "ValueError: the scorer lost its mind"),
        ("nan", r"own/size is nan \(1 of 12 samples are not finite\); this candidate cannot be compared with others"),
        ("few", "own/size has 11 values for 12 samples; return one per sample"),
        ("new", "own/width was returned, which is none of the task's metrics; known: size"),
        ("other", "evaluator 'own' returned no size for task 'own'"),
        ("plain", "own/size is a float, not scores of samples; make them with MetricScores.mean"),
        ("neither", "own/size has neither samples nor replicates; make it with MetricScores.aggregate"),
        ("nothing", "evaluator 'own' returned no size for task 'own'"),
        ("input", "a metric of 0 samples is undefined; ask for at least one sample"),
    ],
)
def test_a_fault_halfway_is_one_trials(make_config: MakeConfig, fault: str, reason: str) -> None:
    result = run(config(make_config, {"kind": FAULTY, "fault": fault}, "own/size"))
    reasons = [record.reason for record in result.records]
    assert reasons == [None] * 6 + [reasons[6]] + [None] * 3
    with pytest.raises(AssertionError, match=f"^{reason}"):
        raise AssertionError(reasons[6])
    assert f"failed: {reasons[6]}" in result.trials["state"].tolist()
    assert result.results and result.results.chosen.winner != 6, "the others are judged"
    assert np.isfinite(result.trials["own/size"].drop(6)).all()
    assert glance(result.trials, result.plan, 1)["own"].eq("failed").tolist() == [number == 6 for number in range(10)]


@pytest.mark.parametrize("racing", [{"first": 4}, "off"])
def test_a_metric_of_another_kind_halfway(make_config: MakeConfig, racing: Any) -> None:
    """As of a task that has a value for each document of most candidates, and not for all of one."""
    evaluator = {"kind": FAULTY, "fault": "of another kind"}
    result = run(config(make_config, evaluator, "own/size", racing=racing))
    assert all(record.complete for record in result.records) and len(result.records) == 10
    assert result.results and result.results.chosen.winner is not None


@pytest.mark.parametrize("fault", ["raises", "nan", "few", "input"])
def test_a_fault_in_a_race_is_one_trials(make_config: MakeConfig, fault: str) -> None:
    evaluator = {"kind": FAULTY, "fault": fault}
    chosen = {"racing": {"first": 4}, "search": {"searcher": "random", "baselines": ["base", "member*"]}}
    result = run(config(make_config, evaluator, "own/size", **chosen))
    failed = [record.number for record in result.records if not record.complete]
    assert len(failed) == 1 and failed[0] > 3 and len(result.records) == 10
    assert result.results and result.results.chosen.winner not in (None, *failed)


@pytest.mark.parametrize("racing", [{"first": 4}, "off"])
def test_a_task_without_values_per_sample(make_config: MakeConfig, racing: Any) -> None:
    result = run(config(make_config, {"kind": FAULTY, "per_sample": False}, "own/size", racing=racing))
    assert len(result.records) == 10 and all(record.complete and record.visited == 1.0 for record in result.records)
    assert result.results and result.results.chosen.winner is not None
    assert all(0 < error < np.inf for record in result.records for error in record.errors)


def nothing_written(one: Config, text: str) -> None:
    with pytest.raises(InputError, match=text):
        run(one)
    assert not one.folder.exists()


@pytest.mark.parametrize(
    ("evaluator", "text"),
    [
        ({"kind": FAULTY, "fault": "empty"}, "task 'own' has 0 samples to use"),
        ({"kind": FAULTY, "fault": "unready"}, "preparing evaluator 'own' failed with RuntimeError: no licence"),
        ({"kind": FAULTY, "falt": "empty"}, "evaluator 'own' has no option 'falt'; did you mean 'fault'"),
        ({"kind": "fawlty"}, "nothing called 'fawlty' in evaluators"),
        (
            {"kind": "dataloader", "dataset": f"{BED}:empty_dataset"},
            r"task 'own': .*:empty_dataset returned .* samples",
        ),
        ({"kind": "dataloader", "dataset": f"{BED}:failing_dataset"}, "FileNotFoundError: no data here"),
        ({"kind": "dataloader", "dataset": f"{BED}:wide_dataset"}, "labels up to 10, but the model gives 10 outputs"),
        ({"kind": "callable", "function": "math:sin", "samples": 0}, "evaluator 'own' has 0 samples"),
        ({"kind": "command", "command": "no-such-program {path}"}, "no program 'no-such-program' that can be run"),
        ({"kind": "command", "command": f"{sys.executable} x.py"}, "does not say where the weights go"),
        (
            {"kind": "command", "command": f"{sys.executable} {{path}}", "format": "folder"},
            "a Network has no folder of its own",
        ),
    ],
)
def test_what_cannot_work_stops_before_the_first_trial(
    make_config: MakeConfig, evaluator: dict[str, Any], text: str
) -> None:
    metric = "accuracy" if evaluator["kind"] == "dataloader" else "size"
    nothing_written(config(make_config, evaluator, f"own/{metric}"), text)


@pytest.mark.parametrize("racing", [{"first": 4}, "off"])
def test_a_command_that_fails_halfway(make_config: MakeConfig, tmp_path: Path, racing: Any) -> None:
    """A program that reads the weights, and for one candidate waits for ever; what it printed is kept."""
    program = tmp_path / "measure.py"
    program.write_text(
        "import json, pathlib, sys, time\n"
        "from safetensors.numpy import load_file\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        "weights = load_file(sys.argv[1])\n"
        "size = float(abs(weights['embed.weight']).sum())\n"
        "seen = log.read_text().split() if log.exists() else []\n"
        "log.write_text(' '.join([*seen, repr(size)]))\n"
        "if len(set([*seen, repr(size)])) == 3:\n"
        "    print('no answer from the card', flush=True)\n"
        "    time.sleep(60)\n"
        "numbers = [int(line) for line in open(sys.argv[2])]\n"
        "print(json.dumps({'size': [size + number for number in numbers]}))\n"
    )
    evaluator = {
        "kind": "command",
        "command": [sys.executable, str(program), "{path}", "{samples}"],
        "metrics": {"size": "minimize"},
        "samples": 40,
        "timeout": 3.0,
    }
    result = run(config(make_config, evaluator, "own/size", budget__trials=6, racing=racing))
    failed = [record.number for record in result.records if not record.complete]
    assert failed == [2]
    assert "took longer than 3 s and was stopped; its last output: no answer from the card" in str(
        result.records[2].reason
    )
    weights = result.export(tmp_path / "picked")
    assert weights.is_dir() and result.pick() != 2
    kept = (result.folder.output / "own.log").read_text()
    assert "took longer than 3 s and was stopped\nno answer from the card\n" in kept
    assert kept.count("ended with status 0\n{") > 5, "what worked is kept, too"


@pytest.fixture(scope="module")
def talkers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and two members that generate text, prompts, and a judge that hangs when it is called a second time."""
    folder = tmp_path_factory.mktemp("talkers")
    for seed, name in enumerate(("base", "one", "two")):
        llama(seed=seed).save_pretrained(folder / name)
        save_tokenizer(folder / name, WORDS)
    drawn = np.random.default_rng(0).integers(0, len(WORDS), (12, 3))
    (folder / "prompts.txt").write_text("\n".join(" ".join(WORDS[word] for word in row) for row in drawn))
    (folder / "text.txt").write_text(" ".join(WORDS[word] for word in drawn.ravel()))
    (folder / "judge.py").write_text(
        "import json, os, subprocess, sys, time\n"
        "calls = open(sys.argv[1], 'a+')\n"
        "calls.write('x')\n"
        "calls.seek(0)\n"
        "if calls.read() == 'xx':\n"
        "    subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "for line in sys.stdin:\n"
        "    print(len(set(json.loads(line)['response'])))\n"
    )
    return folder


def talking(talkers: Path, out: Path, evaluators: dict[str, Any], objectives: list[str], **changes: Any) -> Config:
    members = {name: str(talkers / name) for name in ("one", "two")}
    search = {"searcher": "random", "baselines": ["base", "member*"]}
    return Config(
        models={"base": str(talkers / "base"), "members": members, "device": "cpu"},
        space={"groups": "model"},
        evaluators=evaluators,
        objectives=objectives,
        samples={"held_out": 0.4},
        out=str(out),
        **{"racing": "off", "budget": {"trials": 6}, "search": search, **changes},
    )


def test_a_judge_that_hangs(talkers: Path, tmp_path: Path) -> None:
    """It and its child are stopped; KL to the base is the other objective, and zero for the base alone."""
    judge = {
        "kind": "judge",
        "file": str(talkers / "prompts.txt"),
        "command": [sys.executable, str(talkers / "judge.py"), str(tmp_path / "calls")],
        "timeout": 2.0,
        "max_new_tokens": 4,
    }
    tax = {"kind": "kl_divergence", "file": str(talkers / "text.txt"), "window": 8}
    result = run(talking(talkers, tmp_path, {"judged": judge, "tax": tax}, ["judged/score", "tax/kl"]))
    reasons = [record.reason for record in result.records]
    assert [number for number, reason in enumerate(reasons) if reason] == [1]
    assert "evaluator 'judged'" in str(reasons[1]) and "took longer than 2 s and was stopped" in str(reasons[1])
    taxes = result.trials["tax/kl"]
    assert taxes[0] == 0.0 and (taxes.drop([0, 1]) > 0).all()
    again = Config(**{**json.loads(json.dumps(result.config.model_dump(mode="json"))), "budget": {"trials": 7}})
    assert run(again).records[:6] == result.records, "resumed, the base is looked at again"


def test_a_loss_of_zero_steers_a_search(talkers: Path, tmp_path: Path) -> None:
    """The divergence of a member from itself: the loss and the objective that follows it are fitted all the same."""
    on = {"kind": "perplexity", "file": str(talkers / "text.txt"), "window": 8}
    own = {f"like {name}": {"kind": "agreement", "member": name, "on": on, "top": 8} for name in ("one", "two")}
    search = {"searcher": "map", "options": {"gradients": "needed"}}
    objectives = ["like one/agreement", "like two/kl"]
    result = run(talking(talkers, tmp_path, own, objectives, search=search, budget={"trials": 14}))
    zero = result.trials[result.trials["origin"] == "member two"]
    assert zero["like two/kl"].item() == 0.0
    assert result.trials["state"].eq("complete").all() and (result.trials["origin"] == "map").sum() >= 4


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        ("judge", {"command": sys.executable}, r"empty\.txt' has no prompts; give a file with some"),
        ("reward", {"model": "nowhere"}, r"empty\.txt' has no prompts; give a file with some"),
        ("answers", {}, r"empty\.txt' has no answers; give a file with some"),
        ("perplexity", {}, r"empty\.txt' has no text; give a file with some"),
        ("kl_divergence", {}, r"empty\.txt' has no text; give a file with some"),
    ],
)
def test_an_empty_file_stops_before_the_first_trial(
    talkers: Path, tmp_path: Path, kind: str, options: dict[str, Any], text: str
) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    evaluator = {"kind": kind, "file": str(tmp_path / "empty.txt"), **options}
    nothing_written(talking(talkers, tmp_path / "runs", {"own": evaluator}, ["own/loss"]), text)


@pytest.mark.parametrize(
    ("evaluator", "text"),
    [
        ({"kind": "text_classification", "dataset": "empty.csv"}, r"empty\.csv' has no rows; give one with some"),
        (
            {"kind": "text_classification", "dataset": "empty.jsonl"},
            r"empty\.jsonl' has no rows; give one with some",
        ),
        ({"kind": "image_classification", "dataset": "folder"}, r"folder' has no images; lay them out as class/file"),
        ({"kind": "similarity", "dataset": "pairs.csv"}, r"pairs\.csv' has no rows; give one with some"),
        (
            {"kind": "retrieval", "corpus": "corpus.csv", "queries": "corpus.csv", "qrels": "corpus.csv"},
            r"corpus\.csv' has no rows; give one with some",
        ),
    ],
)
def test_an_empty_data_set_stops_before_the_first_trial(
    make_config: MakeConfig, tmp_path: Path, evaluator: dict[str, Any], text: str
) -> None:
    headers = {"empty.csv": "text,label", "pairs.csv": "sentence1,sentence2,score", "corpus.csv": "_id,text"}
    for name, header in headers.items():
        (tmp_path / name).write_text(f"{header}\n")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "folder").mkdir()
    placed = {key: value if key == "kind" else str(tmp_path / value) for key, value in evaluator.items()}
    nothing_written(config(make_config, placed, "own/accuracy"), text)


def test_a_reward_model_that_is_not_there_stops_before_the_first_trial(talkers: Path, tmp_path: Path) -> None:
    reward = {"kind": "reward", "file": str(talkers / "prompts.txt"), "model": str(tmp_path / "nowhere")}
    nothing_written(
        talking(talkers, tmp_path / "runs", {"own": {**reward, "max_new_tokens": 4}}, ["own/reward"]),
        "reward model '.*nowhere' cannot be loaded",
    )


def test_weights_that_are_never_written_are_not_read(talkers: Path, tmp_path: Path) -> None:
    save_adapter(tmp_path / "adapter", llama(), 1, r=2, target_modules="all-linear")
    command = {"kind": "command", "command": f"{sys.executable} -c 'print(1)' {{path}}", "samples": 4}
    models = {"base": str(talkers / "base"), "members": {"one": str(tmp_path / "adapter")}, "device": "cpu"}
    one = talking(talkers, tmp_path / "runs", {"own": command}, ["own/score"])
    keys = {**one.model_dump(mode="json"), "models": {**models, "adapters": "live"}}
    nothing_written(Config(**keys), "evaluator 'own' reads the weights, .* set models.adapters: merged")


@pytest.mark.parametrize("filtered", [True, False])
def test_lm_eval_tasks_without_documents_stop_before_the_first_trial(
    talkers: Path, tmp_path: Path, filtered: bool
) -> None:
    (tmp_path / "documents.jsonl").write_text('{"question": "red", "gold": 0}\n' if filtered else "")
    (tmp_path / "functions.py").write_text("def none(documents):\n    return documents.select([])\n")
    task = {
        "task": "none",
        "dataset_path": "json",
        "dataset_kwargs": {
            "data_files": {"test": str(tmp_path / "documents.jsonl")},
            "cache_dir": str(tmp_path / "cache"),
        },
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": ["a", "b"],
        "doc_to_target": "gold",
    }
    text = json.dumps(task)
    if filtered:
        text = f'{text[:-1]}, "process_docs": !function functions.none}}'
    (tmp_path / "none.yaml").write_text(text)
    evaluator = {"kind": "lm_eval", "tasks": [str(tmp_path / "none.yaml")]}
    one = talking(talkers, tmp_path / "runs", {"own": evaluator}, ["none/acc"])
    nothing_written(one, r"tasks .*none\.yaml: one has no documents; give it some, or leave it out")
