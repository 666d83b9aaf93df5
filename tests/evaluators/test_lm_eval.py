"""Scores must be those of lm-eval itself on the same documents."""

from __future__ import annotations

import copy
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mergesearch.errors import InputError, TrialError
from mergesearch.evaluators.lm_eval import LMEvalEvaluator

TASKS = ["tiny_choice", "tiny_shots", "tiny_binary", "tiny_generate", "tiny_sampled", "tiny_rolling", "tiny_next"]


def _reference(model: Any, tokenizer: Any, folder: Path, tasks: list[str], **options: Any) -> dict[str, Any]:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    wrapped = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=32)
    results = lm_eval.simple_evaluate(wrapped, tasks=tasks, task_manager=manager, bootstrap_iters=0, **options)
    return dict(results)


def _values(results: dict[str, Any], task: str) -> dict[str, float]:
    """lm-eval's values under our names: the first filter's without its name."""
    pairs = [key.split(",") for key in results["results"][task] if "," in key and "_stderr" not in key]
    first = pairs[0][1]
    names = {(metric, one): metric if one == first else f"{metric}@{one}" for metric, one in pairs}
    return {name: float(results["results"][task][",".join(key)]) for key, name in names.items()}


@pytest.fixture(scope="module")
def evaluator(llama: Any, tokenizer: Any, tasks_folder: Path) -> LMEvalEvaluator:
    one = LMEvalEvaluator("language", TASKS, include_path=str(tasks_folder))
    one.prepare(llama, tokenizer)
    return one


def test_all_documents_score_as_in_simple_evaluate(
    evaluator: LMEvalEvaluator, llama: Any, tokenizer: Any, tasks_folder: Path
) -> None:
    scores = evaluator.score(llama, {task: np.arange(24) for task in TASKS})
    results = _reference(llama, tokenizer, tasks_folder, TASKS)
    for task in TASKS:
        ours = {metric: one.value for metric, one in scores[task].items()}
        assert ours == pytest.approx(_values(results, task), rel=1e-5), task
        assert set(ours) == set(evaluator.metrics()[task])
    assert 0 < scores["tiny_generate"]["exact_match@strict"].value < 1
    assert scores["tiny_sampled"]["chrf"].value > 0


def test_a_subset_scores_as_in_simple_evaluate(
    evaluator: LMEvalEvaluator, llama: Any, tokenizer: Any, tasks_folder: Path
) -> None:
    rows = [1, 4, 5, 11, 20]
    tasks = ["tiny_choice", "tiny_binary", "tiny_generate", "tiny_rolling"]
    scores = evaluator.score(llama, {task: np.array(rows) for task in tasks})
    results = _reference(llama, tokenizer, tasks_folder, tasks, samples=dict.fromkeys(tasks, rows), log_samples=True)
    for task in tasks:
        assert {name: one.value for name, one in scores[task].items()} == pytest.approx(
            _values(results, task), rel=1e-5
        )
    logged = [sample["acc"] for sample in results["samples"]["tiny_choice"]]
    assert np.asarray(scores["tiny_choice"]["acc"].samples).tolist() == logged


def test_directions_and_kinds_of_metrics(evaluator: LMEvalEvaluator, llama: Any) -> None:
    metrics = evaluator.metrics()
    assert metrics["tiny_rolling"] == {"word_perplexity": False, "bits_per_byte": False}
    assert metrics["tiny_generate"] == {"exact_match": True, "exact_match@strict": True}
    assert metrics["tiny_binary"]["brier_score"] is False
    scores = evaluator.score(llama, {task: np.arange(24) for task in ("tiny_binary", "tiny_rolling")})
    assert scores["tiny_binary"]["f1"].samples is None
    words = scores["tiny_rolling"]["word_perplexity"]
    assert np.asarray(words.samples).size == 24
    assert 0 < words.stderr < words.value


def test_few_shot_prompts_do_not_depend_on_the_chosen_documents(evaluator: LMEvalEvaluator, llama: Any) -> None:
    full = evaluator.score(llama, {"tiny_shots": np.arange(24)})["tiny_shots"]["acc"].samples
    some = evaluator.score(llama, {"tiny_shots": np.arange(1, 24, 3)})["tiny_shots"]["acc"].samples
    assert np.asarray(full)[1::3].tolist() == np.asarray(some).tolist()


def test_prompts_and_tokens_are_part_of_the_fingerprint(llama: Any, tokenizer: Any, tasks_folder: Path) -> None:
    def fingerprint(of: Any) -> str:
        one = LMEvalEvaluator("language", ["tiny_choice"], include_path=str(tasks_folder), apply_chat_template=True)
        unprepared = one.fingerprint()
        one.prepare(llama, of)
        assert one.fingerprint() != unprepared
        first = one.fingerprint()
        one.score(llama, {"tiny_choice": np.arange(4)})
        assert one.fingerprint() == first
        return first

    greeting, other = copy.deepcopy(tokenizer), copy.deepcopy(tokenizer)
    greeting.chat_template = "hello " + tokenizer.chat_template
    other.add_tokens(["is"])
    assert fingerprint(tokenizer) == fingerprint(copy.deepcopy(tokenizer))
    assert len({fingerprint(tokenizer), fingerprint(greeting), fingerprint(other)}) == 3


def test_num_fewshot_limit_and_chat_template_reach_the_prompts(llama: Any, tokenizer: Any, tasks_folder: Path) -> None:
    options: dict[str, Any] = {"num_fewshot": 1, "limit": 6, "apply_chat_template": True}
    evaluator = LMEvalEvaluator("language", ["tiny_shots"], include_path=str(tasks_folder), **options)
    evaluator.prepare(llama, tokenizer)
    assert evaluator.tasks() == {"tiny_shots": 6}
    ours = evaluator.score(llama, {"tiny_shots": np.arange(6)})["tiny_shots"]["acc"]
    results = _reference(llama, tokenizer, tasks_folder, ["tiny_shots"], log_samples=True, **options)
    assert np.asarray(ours.samples).tolist() == [sample["acc"] for sample in results["samples"]["tiny_shots"]]


def test_tasks_given_as_files(tasks_folder: Path) -> None:
    files = [str(tasks_folder / name) for name in ("tiny_choice.yaml", "tiny_json.json")]
    assert LMEvalEvaluator("language", files).tasks() == {"tiny_choice": 24, "tiny_json": 24}
    by_name = LMEvalEvaluator("language", ["tiny_json"], include_path=str(tasks_folder))
    assert by_name.tasks() == {"tiny_json": 24}


@pytest.mark.slow
def test_a_group_expands_to_its_tasks(tasks_folder: Path) -> None:
    evaluator = LMEvalEvaluator("language", ["tiny_group"], include_path=str(tasks_folder))
    assert evaluator.tasks() == {"tiny_choice": 24, "tiny_binary": 24}


@pytest.mark.slow
def test_unknown_tasks_name_the_nearest(tasks_folder: Path) -> None:
    with pytest.raises(InputError, match=r"lm-eval has no task 'arc_eazy'; did you mean .*arc_easy"):
        LMEvalEvaluator("language", ["arc_eazy"]).tasks()
    with pytest.raises(InputError, match="no task 'tiny_choise'; did you mean tiny_choice"):
        LMEvalEvaluator("language", ["tiny_choise"], include_path=str(tasks_folder)).tasks()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"tasks": "arc_easy"}, "tasks = 'arc_easy'; give a list"),
        ({"tasks": []}, r"tasks = \[\]"),
        ({"batch_size": 0}, "batch_size = 0; give 1 or more"),
        ({"num_fewshot": -1}, "num_fewshot = -1"),
        ({"tasks": ["nowhere.yaml"]}, "no task file 'nowhere.yaml'"),
        ({"include_path": "nowhere"}, "include_path = 'nowhere' is no folder"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        LMEvalEvaluator("language", **{"tasks": ["tiny_choice"], **options}).tasks()


def test_a_task_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("task: broken\ndataset_path: json\ntest_split: test\noutput_type: none\n")
    with pytest.raises(InputError, match="tasks broken cannot be loaded: ValueError: Got invalid output_type 'none'"):
        LMEvalEvaluator("language", ["broken"], include_path=str(tmp_path)).tasks()


def test_models_and_tokenizers_that_do_not_serve_are_refused(make: Any, llama: Any, tasks_folder: Path) -> None:
    one = LMEvalEvaluator("language", ["tiny_choice"], include_path=str(tasks_folder), apply_chat_template=True)
    with pytest.raises(InputError, match="needs a transformers model with a tokenizer, and got Sequential with"):
        one.prepare(make("tiny_net"), make("tiny_tokenizer"))
    plain = make("tiny_tokenizer")
    plain.chat_template = None
    with pytest.raises(InputError, match="the tokenizer has no chat template"):
        one.prepare(llama, plain)
    with pytest.raises(InputError, match="evaluator 'language' has no requests yet; call prepare first"):
        one.score(llama, {"tiny_choice": np.arange(2)})


def test_another_model_may_be_scored_with_the_same_requests(
    evaluator: LMEvalEvaluator, make: Any, llama: Any, tokenizer: Any, tasks_folder: Path
) -> None:
    rows = {"tiny_rolling": np.arange(24)}
    before = evaluator.score(llama, rows)["tiny_rolling"]["bits_per_byte"].value
    other = make("tiny_llama")
    found = evaluator.score(other, rows)["tiny_rolling"]["bits_per_byte"].value
    assert found == pytest.approx(
        _values(_reference(other, tokenizer, tasks_folder, ["tiny_rolling"]), "tiny_rolling")["bits_per_byte"]
    )
    assert evaluator.score(llama, rows)["tiny_rolling"]["bits_per_byte"].value == before != found


def test_weights_that_are_not_numbers_fail_the_trial(make: Any, tokenizer: Any, tasks_folder: Path) -> None:
    model = make("tiny_llama")
    evaluator = LMEvalEvaluator("language", ["tiny_choice"], include_path=str(tasks_folder))
    evaluator.prepare(model, tokenizer)
    model.lm_head.weight.data.fill_(float("nan"))
    with pytest.raises(TrialError, match="task 'tiny_choice': a log-likelihood is NaN"):
        evaluator.score(model, {"tiny_choice": np.arange(2)})


def test_nothing_is_printed_and_the_logging_level_is_restored(
    evaluator: LMEvalEvaluator, llama: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before = logging.getLogger("lm_eval").level
    evaluator.score(llama, {task: np.arange(4) for task in TASKS})
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""
    assert logging.getLogger("lm_eval").level == before


def test_the_evaluators_can_be_listed_without_heavy_imports() -> None:
    heavy = ("torch", "transformers", "lm_eval", "sklearn", "datasets")
    code = (
        "import sys; from mergesearch.plugins import plugin_names;"
        "from mergesearch.evaluators.evaluator import Evaluator;"
        "names = plugin_names('mergesearch.evaluators', Evaluator);"
        f"print(names, [name for name in {heavy} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'lm_eval'" in found
    assert found.strip().endswith(" []")
