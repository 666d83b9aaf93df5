"""What every evaluator promises, checked on all of them with real tiny models.

A new evaluator needs one line in `CASES`; one outside the package can subclass `EvaluatorConformance` and override
its fixture `case`.
"""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections import abc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

from mergesearch.errors import InputError
from mergesearch.evaluators.build import build_evaluators
from mergesearch.evaluators.evaluator import Evaluator, Scores
from mergesearch.evaluators.panel import Panel
from mergesearch.plugins import load_object, load_plugin, plugin_names

TINY = Path(__file__).parents[1] / "evaluators" / "tiny.py"
DRAWING = TINY.with_name("drawing.py")


@dataclass(frozen=True, eq=False)
class Case:
    """How to make one kind of evaluator.

    Attributes:
        kind: the plugin's name.
        options: the folder of test data -> its options.
        other: an option changed, which must change the fingerprint.
        model: name of a maker of models in `tiny.py`.
        rounding: relative difference allowed between a sample's values when others are asked for beside it; above
            zero only where a library composes the batches.
    """

    kind: str
    options: Callable[[Path], dict[str, Any]]
    other: Mapping[str, Any]
    model: str = "tiny_net"
    rounding: float = 0.0
    data: str = ""

    def build(self, folder: Path, **changes: Any) -> Evaluator:
        """The evaluator, called `mine`."""
        return build_evaluators({"mine": {"kind": self.kind, **self.options(folder), **changes}}).evaluators[0]


LM_TASKS = ["tiny_choice", "tiny_shots", "tiny_binary", "tiny_rolling", "tiny_next", "tiny_sampled"]
CASES = (
    Case(
        "agreement",
        lambda folder: {
            "member": "other",
            "on": {"kind": "text_classification", "dataset": str(folder / "reviews.jsonl"), "label": None},
            "top": 2,
        },
        {"top": 3},
        model="tiny_bert",
        data="reviews.jsonl",
    ),
    Case(
        "answers",
        lambda folder: {"file": str(folder / "answers.jsonl"), "batch_size": 4},
        {"apply_chat_template": True},
        model="tiny_llama",
        data="answers.jsonl",
    ),
    Case(
        "callable",
        lambda folder: {
            "function": f"{TINY}:weight_size",
            "samples": 30,
            "metrics": {"size": "minimize", "rank": "maximize"},
        },
        {"arguments": {"scale": 2.0}},
    ),
    Case(
        "command",
        lambda folder: {
            "command": [sys.executable, str(folder / "measure.py"), "{path}", "{samples}"],
            "samples": 12,
            "metrics": {"size": "minimize", "all": "minimize"},
        },
        {"timeout": 60.0, "samples": 13},
        data="measure.py",
    ),
    Case(
        "dataloader",
        lambda folder: {
            "dataset": f"{TINY}:blobs",
            "metrics": ["accuracy", "loss", "f1_macro"],
            "tasks": {"north": {"seed": 1}, "south": {"seed": 2, "count": 30}},
            "batch_size": 8,
        },
        {"arguments": {"classes": 2}},
    ),
    Case(
        "frechet",
        lambda folder: {
            "generator": f"{DRAWING}:draw_in_steps",
            "samples": 60,
            "shape": [6],
            "classes": 2,
            "reference": f"{DRAWING}:points",
            "extractor": f"{DRAWING}:features",
            "metrics": ["frechet", "precision", "recall"],
            "batch_size": 8,
            "cache": str(folder / "cache"),
        },
        {"neighbours": 2},
    ),
    Case(
        "image_classification",
        lambda folder: {
            "dataset": str(folder / "images"),
            "metrics": ["accuracy", "loss", "f1_macro"],
            "batch_size": 5,
            "processor": str(folder / "processor"),
        },
        {"batch_size": 4},
        model="tiny_vit",
    ),
    Case(
        "judge",
        lambda folder: {
            "file": str(folder / "prompts.txt"),
            "command": [sys.executable, str(folder / "judge.py")],
            "metrics": {"length": "maximize", "luck": "minimize"},
            "max_new_tokens": 6,
            "temperature": 1.0,
            "answers": 2,
            "batch_size": 4,
        },
        {"seed": 1},
        model="tiny_llama",
        data="prompts.txt",
    ),
    Case(
        "kl_divergence",
        lambda folder: {"file": str(folder / "text.txt"), "window": 40, "batch_size": 4},
        {"window": 41},
        model="tiny_llama",
        data="text.txt",
    ),
    Case(
        "lm_eval",
        lambda folder: {"tasks": LM_TASKS, "include_path": str(folder), "batch_size": 8},
        {"num_fewshot": 1},
        model="tiny_llama",
        rounding=1e-5,
        data="documents.jsonl",
    ),
    Case(
        "perplexity",
        lambda folder: {"file": str(folder / "text.txt"), "window": 32, "batch_size": 4},
        {"window": 33},
        model="tiny_llama",
        data="text.txt",
    ),
    Case(
        "retrieval",
        lambda folder: {
            **{part: str(folder / f"{part}.jsonl") for part in ("corpus", "queries")},
            "qrels": str(folder / "qrels.tsv"),
            "k": 5,
            "batch_size": 4,
        },
        {"corpus_prompt": "passage: "},
        model="tiny_bert",
        data="corpus.jsonl",
    ),
    Case(
        "reward",
        lambda folder: {
            "file": str(folder / "prompts.txt"),
            "model": str(folder / "rewards"),
            "max_new_tokens": 6,
            "batch_size": 4,
        },
        {"max_new_tokens": 7},
        model="tiny_llama",
        rounding=1e-4,
        data="prompts.txt",
    ),
    Case(
        "similarity",
        lambda folder: {
            "dataset": str(folder / "reviews.jsonl"),
            "pair": ["text", "reply"],
            "gold": "grade",
            "batch_size": 4,
        },
        {"pooling": "cls"},
        model="tiny_bert",
        data="reviews.jsonl",
    ),
    Case(
        "text_classification",
        lambda folder: {
            "dataset": str(folder / "reviews.jsonl"),
            "metrics": ["accuracy", "loss", "entropy", "f1_macro"],
            "batch_size": 4,
        },
        {"max_length": 8},
        model="tiny_bert",
        data="reviews.jsonl",
    ),
)


def _make(name: str, *arguments: Any) -> Any:
    return load_object(f"{TINY}:{name}")(*arguments)


def _write(folder: Path) -> Path:
    _make("write_tasks", folder)
    _make("write_text", folder)
    _make("write_answers", folder)
    _make("write_raters", folder)
    _make("write_reviews", folder)
    _make("write_corpus", folder)
    _make("write_images", folder)
    return folder


def _unusable(kind: str) -> Iterator[tuple[str, Any]]:
    """Each option of a kind, with a value of another type, and with numbers below every range."""
    hints = get_type_hints(load_plugin(kind, "mergesearch.evaluators", Evaluator).__init__)
    for key in hints.keys() - {"name", "return"}:
        kinds = {hints[key], *get_args(hints[key])}
        yield key, "text" if float in kinds else 3.5
        if kinds & {int, float} and get_origin(hints[key]) not in (abc.Sequence, abc.Mapping):
            yield key, -1
        if float in kinds:
            yield from ((key, math.nan), (key, -math.inf))


def _plain(scores: Scores) -> dict[str, Any]:
    """All numbers of the scores, to be compared bit for bit."""
    return {
        f"{task}/{metric}": (
            one.value,
            *(None if part is None else part.tobytes() for part in (one.samples, one.replicates)),
        )
        for task, metrics in scores.items()
        for metric, one in metrics.items()
    }


@dataclass
class Ready:
    """A prepared evaluator with its model, and the scores of all its samples."""

    case: Case
    evaluator: Evaluator
    model: Any
    full: Scores = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, Any]:
        """All samples of all tasks."""
        return {task: np.arange(count) for task, count in self.evaluator.tasks().items()}


@cache
def _ready(case: Case, folder: Path) -> Ready:
    one = Ready(case, case.build(folder), _make(case.model))
    one.evaluator.prepare(one.model, _make("tiny_tokenizer"))
    for reference in one.evaluator.references():
        one.evaluator.observe(reference, _make(case.model, 1))
    one.full = one.evaluator.score(one.model, one.rows)
    return one


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("evaluators"))


class EvaluatorConformance:
    """The suite; `case` says which evaluator."""

    @pytest.fixture
    def ready(self, case: Case, folder: Path) -> Ready:
        return _ready(case, folder)

    def test_tasks_and_metrics_are_known_without_a_model(self, case: Case, folder: Path, ready: Ready) -> None:
        fresh = case.build(folder)
        assert fresh.metrics() == ready.evaluator.metrics()
        if case.kind in ("kl_divergence", "perplexity"):  # they count windows of tokens
            fresh.prepare(None, _make("tiny_tokenizer"))
        assert fresh.tasks() == ready.evaluator.tasks()
        assert set(fresh.tasks()) == set(fresh.metrics())
        assert all(type(count) is int and count > 0 for count in fresh.tasks().values())
        assert all(type(up) is bool for metrics in fresh.metrics().values() for up in metrics.values())

    def test_every_declared_metric_has_one_value_per_sample(self, ready: Ready) -> None:
        assert {task: set(one) for task, one in ready.full.items()} == {
            task: set(one) for task, one in ready.evaluator.metrics().items()
        }
        for task, metrics in ready.full.items():
            for one in metrics.values():
                assert np.isfinite(one.value)
                assert one.stderr >= 0
                if one.samples is None:
                    assert one.replicates is not None
                else:
                    assert one.samples.shape == (ready.evaluator.tasks()[task],)
                    assert one.samples.dtype == np.float64

    def test_an_option_that_cannot_be_used_stops_before_the_first_trial(self, case: Case, folder: Path) -> None:
        """Of another type, or below every range: one line that names evaluator, option and value."""
        for key, value in _unusable(case.kind):
            with pytest.raises(InputError) as caught:
                one = Panel([case.build(folder, **{key: value})])
                one.prepare(_make(case.model), _make("tiny_tokenizer"))
            said = str(caught.value)
            assert "'mine'" in said and key in said and str(value) in said and "\n" not in said, (key, value, said)
            assert "--debug" not in said, said

    @pytest.mark.filterwarnings("ignore:A single label")
    def test_a_subset_has_exactly_the_values_of_its_samples(self, ready: Ready) -> None:
        generator = np.random.default_rng(0)
        for size in (1, 5, 11):
            rows = {
                task: np.sort(generator.choice(len(all_), size, replace=False)) for task, all_ in ready.rows.items()
            }
            some = ready.evaluator.score(ready.model, rows)
            for task, metrics in some.items():
                for metric, one in metrics.items():
                    full = ready.full[task][metric].samples
                    assert (one.samples is None) == (full is None)
                    if one.samples is not None and full is not None:
                        np.testing.assert_allclose(one.samples, full[rows[task]], rtol=ready.case.rounding, atol=0)

    def test_tasks_may_be_asked_one_at_a_time(self, ready: Ready) -> None:
        for task, rows in ready.rows.items():
            alone = ready.evaluator.score(ready.model, {task: rows})
            assert list(alone) == [task]
            for metric, one in alone[task].items():
                assert one.value == pytest.approx(ready.full[task][metric].value, rel=max(ready.case.rounding, 1e-12))

    def test_the_same_weights_score_the_same_bit_for_bit(self, ready: Ready) -> None:
        import torch

        torch.rand(7)  # what ran before must not matter
        assert _plain(ready.evaluator.score(ready.model, ready.rows)) == _plain(ready.full)

    def test_other_weights_score_differently_and_the_old_ones_as_before(self, ready: Ready) -> None:
        import torch

        kept = [weight.detach().clone() for weight in ready.model.parameters()]
        with torch.no_grad():
            for weight in ready.model.parameters():
                weight.mul_(-0.5)  # written in place, as the engine does
            assert _plain(ready.evaluator.score(ready.model, ready.rows)) != _plain(ready.full)
            for weight, old in zip(ready.model.parameters(), kept, strict=True):
                weight.copy_(old)
        assert _plain(ready.evaluator.score(ready.model, ready.rows)) == _plain(ready.full)

    @pytest.mark.parametrize("training", [True, False])
    def test_scoring_leaves_no_trace(self, ready: Ready, training: bool) -> None:
        import torch

        model = ready.model.train(training)
        next(model.children()).eval()  # a part that was frozen on purpose stays so
        for weight in model.parameters():
            weight.grad = torch.ones_like(weight)

        def trace() -> Any:
            tensors = [*model.state_dict().values(), *(weight.grad for weight in model.parameters())]
            modes = [module.training for module in model.modules()]
            legacy: Any = np.random.get_state()  # noqa: NPY002
            states = random.getstate(), legacy[1].tolist(), legacy[2], torch.get_rng_state().tolist()
            return [tensor.clone() for tensor in tensors], modes, states, torch.is_grad_enabled()

        before = trace()
        ready.evaluator.score(model, ready.rows)
        after = trace()
        assert all(torch.equal(a, b) for a, b in zip(before[0], after[0], strict=True))
        assert before[1:] == after[1:]
        model.zero_grad(set_to_none=True)

    def test_differentiable_losses_are_scores_with_a_gradient(self, ready: Ready) -> None:
        """Each value is the one that `score` gives, its gradient the difference quotient, and only `.grad` changes."""
        import torch

        model, weight = ready.model, next(ready.model.parameters())
        for task, metrics in ready.evaluator.differentiable().items():
            rows = ready.rows[task]
            for metric in metrics:
                state = torch.get_rng_state()
                found = ready.evaluator.backward(model, task, metric, rows)
                assert torch.equal(state, torch.get_rng_state())
                if metric in ready.full[task]:
                    np.testing.assert_allclose(found.value, ready.full[task][metric].value, rtol=1e-6)
                assert found.samples is None or found.samples.shape == rows.shape
                slope = weight.grad.detach().clone()
                assert slope.abs().max() > 0
                model.zero_grad(set_to_none=True)
                values = []
                for step in (3e-3, -6e-3, 3e-3):  # there, to the other side, and back
                    with torch.no_grad():
                        weight.add_(slope / slope.norm(), alpha=step)
                    values.append(ready.evaluator.backward(model, task, metric, rows).value)
                model.zero_grad(set_to_none=True)
                quotient = (values[0] - values[1]) / 6e-3
                assert quotient == pytest.approx(float(slope.norm()), rel=0.05)

    def test_options_and_data_change_the_fingerprint(self, case: Case, folder: Path, tmp_path: Path) -> None:
        first = case.build(folder).fingerprint()
        assert case.build(folder).fingerprint() == first
        assert case.build(folder, **case.other).fingerprint() != first
        if case.data:
            path = _write(tmp_path) / case.data
            assert case.build(tmp_path).fingerprint() == first  # the place of the data does not matter
            path.write_text(path.read_text().replace("red", "black", 1))
            assert case.build(tmp_path).fingerprint() != first


class TestEvaluators(EvaluatorConformance):
    """The evaluators of the package."""

    @pytest.fixture(params=CASES, ids=lambda case: case.kind)
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found


def test_every_evaluator_has_a_case() -> None:
    assert plugin_names("mergesearch.evaluators", Evaluator) == sorted(case.kind for case in CASES)


def test_fingerprints_are_the_same_in_every_process(folder: Path) -> None:
    found = {case.kind: case.build(folder).fingerprint() for case in CASES}
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}  # this process has another, at random
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == found


if __name__ == "__main__":
    print(json.dumps({case.kind: case.build(Path(sys.argv[1])).fingerprint() for case in CASES}))
