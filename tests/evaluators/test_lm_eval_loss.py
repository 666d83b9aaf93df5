"""The loss of gold targets must be what the model's logits say of them, and its gradient that of autograd."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators.lm_eval import LMEvalEvaluator

END = "</s>"
TASKS = ["tiny_choice", "tiny_shots", "tiny_binary", "tiny_generate", "tiny_sampled", "tiny_rolling", "tiny_next"]
ROWS = np.array([0, 3, 4, 11, 17, 23])
# What lm-eval asks of a document by the tasks of `tiny.py`, written out once more: prompt and target.
TARGETS: dict[str, Callable[[dict[str, Any]], tuple[str, str]]] = {
    "tiny_choice": lambda row: (f"{row['question']} ->", f" {row['choices'][row['gold']]}"),
    "tiny_binary": lambda row: (f"{row['question']} ->", f" {row['choices'][row['yes']]}"),
    "tiny_generate": lambda row: (f"{row['question']} ->", f" {row['answer']}"),
    "tiny_next": lambda row: (f"{row['question']} ->", f" {row['answer']}"),
    "tiny_rolling": lambda row: ("<s>", row["question"]),
}


@pytest.fixture(scope="module")
def evaluator(llama: Any, tokenizer: Any, tasks_folder: Path) -> LMEvalEvaluator:
    one = LMEvalEvaluator("language", TASKS, include_path=str(tasks_folder), batch_size=4)
    one.prepare(llama, tokenizer)
    return one


def _rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "documents.jsonl").read_text().splitlines()]


def _nats(model: Any, tokenizer: Any, prompt: str, target: str) -> tuple[torch.Tensor, int]:
    """Of one target, without batches or padding, and its number of tokens."""
    tokens = tokenizer(prompt + target, return_tensors="pt", add_special_tokens=False)["input_ids"]
    count = tokens.shape[1] - len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
    logs = model(tokens).logits[0, :-1].log_softmax(dim=-1)
    return -logs.gather(1, tokens[0, 1:, None])[-count:].sum(), count


def _gradients(model: Any) -> dict[str, torch.Tensor]:
    found = {name: one.grad.clone() for name, one in model.named_parameters()}
    model.zero_grad()
    return found


def _held_to(
    model: Any, tokenizer: Any, evaluator: LMEvalEvaluator, task: str, texts: Sequence[tuple[str, str]]
) -> None:
    """Compare value, values per document and gradients with a loss written by hand."""
    model.zero_grad()
    scores = evaluator.backward(model, task, "loss", ROWS)
    ours = _gradients(model)
    pairs = [_nats(model, tokenizer, prompt, target) for prompt, target in texts]
    loss = sum(nats for nats, _ in pairs) / sum(count for _, count in pairs)
    assert isinstance(loss, torch.Tensor)
    loss.backward()
    assert scores.value == pytest.approx(loss.item(), rel=1e-5)
    assert np.asarray(scores.samples) == pytest.approx([nats.item() / count for nats, count in pairs], rel=1e-4)
    for name, gradient in _gradients(model).items():
        torch.testing.assert_close(ours[name], gradient, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("task", TARGETS)
def test_value_and_gradient_are_those_of_a_loss_written_by_hand(
    task: str, evaluator: LMEvalEvaluator, llama: Any, tokenizer: Any, tasks_folder: Path
) -> None:
    documents = _rows(tasks_folder)
    _held_to(llama, tokenizer, evaluator, task, [TARGETS[task](documents[row]) for row in ROWS])


@pytest.mark.parametrize("chat", [False, True])
def test_few_shot_and_chat_prompts_are_those_of_simple_evaluate(
    chat: bool, llama: Any, tokenizer: Any, tasks_folder: Path
) -> None:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    folder, options = str(tasks_folder), {"num_fewshot": 1, "apply_chat_template": chat}
    ours = LMEvalEvaluator("language", ["tiny_shots"], include_path=folder, **options)  # type: ignore[arg-type]
    ours.prepare(llama, tokenizer)
    manager = TaskManager(include_path=folder, include_defaults=False)
    wrapped = HFLM(pretrained=llama, tokenizer=tokenizer)
    results = lm_eval.simple_evaluate(
        wrapped, tasks=["tiny_shots"], task_manager=manager, log_samples=True, bootstrap_iters=0, **options
    )
    samples = {one["doc_id"]: one for one in results["samples"]["tiny_shots"]}
    gold = [samples[row]["arguments"][samples[row]["target"]] for row in ROWS]
    assert all(prompt.count("->") == 2 for prompt, _ in gold)
    likelihoods = [samples[row]["resps"][samples[row]["target"]][0][0] for row in ROWS]
    scores = ours.backward(llama, "tiny_shots", "loss", ROWS)
    llama.zero_grad()
    assert np.asarray(scores.samples) * [len(target) for _, target in gold] == pytest.approx(
        -np.array(likelihoods), rel=1e-4
    )


def _task(folder: Path, home: Path, name: str, **own: Any) -> LMEvalEvaluator:
    """A further task over the same documents."""
    content = json.loads((folder / "tiny_generate.yaml").read_text()) | {"task": name} | own
    (home / f"{name}.yaml").write_text(json.dumps(content))
    return LMEvalEvaluator("language", [name], include_path=str(home))


@pytest.mark.parametrize(
    ("until", "end"), [([], END), ([END], END), (["\n"], ""), ("\n", "")], ids=["nothing", "the end", "line", "text"]
)
def test_an_answer_that_only_the_end_stops_ends_with_it(
    until: Any, end: str, llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    one = _task(tasks_folder, tmp_path, "tiny_open", generation_kwargs={"until": until, "max_gen_toks": 6})
    one.prepare(llama, tokenizer)
    documents = _rows(tasks_folder)
    texts = [(f"{documents[row]['question']} ->", f" {documents[row]['answer']}{end}") for row in ROWS]
    _held_to(llama, tokenizer, one, "tiny_open", texts)


def test_the_first_of_several_answers_and_a_prefix_of_the_answer(
    llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    own = {"doc_to_target": "{{choices}}", "gen_prefix": "Answer:"}
    one = _task(tasks_folder, tmp_path, "tiny_several", **own)
    one.prepare(llama, tokenizer)
    documents = _rows(tasks_folder)
    texts = [(f"{documents[row]['question']} -> Answer:", f" {documents[row]['choices'][0]}") for row in ROWS]
    _held_to(llama, tokenizer, one, "tiny_several", texts)


def test_prompts_that_differ_before_one_continuation(
    llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    """As in Winogrande: the choices are prompts, and the text is the number of the right one."""
    own = {
        "output_type": "multiple_choice",
        "doc_to_text": "yes",
        "doc_to_choice": "{{choices[:2]}}",
        "generation_kwargs": None,
        "filter_list": None,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    one = _task(tasks_folder, tmp_path, "tiny_blank", **own)
    one.prepare(llama, tokenizer)
    documents = _rows(tasks_folder)
    texts = [(documents[row]["choices"][documents[row]["yes"]], f" {documents[row]['answer']}") for row in ROWS]
    _held_to(llama, tokenizer, one, "tiny_blank", texts)


@pytest.mark.parametrize("target", ["", 0, "{{answer if gold == 1 else ''}}"], ids=["none", "stand-in", "some"])
def test_tasks_without_a_target_offer_no_loss(
    target: Any, llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    one = _task(tasks_folder, tmp_path, "tiny_untold", doc_to_target=target)
    one.prepare(llama, tokenizer)
    assert one.differentiable() == {}


def test_all_others_offer_one(evaluator: LMEvalEvaluator, tasks_folder: Path) -> None:
    assert evaluator.differentiable() == dict.fromkeys(TASKS, ("loss",))
    with pytest.raises(InputError, match="evaluator 'language' has no requests yet; call prepare first"):
        LMEvalEvaluator("language", TASKS, include_path=str(tasks_folder)).differentiable()


def test_long_prompts_lose_their_beginning_as_in_lm_eval(
    make: Any, llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    """And texts longer than the model reads are cut into windows, whose tokens all count."""
    text = "{{question}} " * 12
    prompt = _task(tasks_folder, tmp_path, "tiny_long", doc_to_text=text + "->")
    prompt.prepare(llama, tokenizer)
    documents = _rows(tasks_folder)
    limit = llama.config.max_position_embeddings
    texts = []
    for row in ROWS:
        whole = f"{documents[row]['question']} " * 12 + f"-> {documents[row]['answer']}"
        target = f" {documents[row]['answer']}"
        texts.append((whole[-(limit + 1) :][: -len(target)], target))
    _held_to(llama, tokenizer, prompt, "tiny_long", texts)
    rolling = _task(
        tasks_folder, tmp_path, "tiny_pages", output_type="loglikelihood_rolling", doc_to_target=text, doc_to_text="",
        generation_kwargs=None, filter_list=None,
        metric_list=[{"metric": "bits_per_byte", "aggregation": "bits_per_byte", "higher_is_better": False}],
    )  # fmt: skip
    rolling.prepare(llama, tokenizer)
    bits = rolling.score(llama, {"tiny_pages": ROWS})["tiny_pages"]["bits_per_byte"]
    loss = rolling.backward(llama, "tiny_pages", "loss", ROWS)
    llama.zero_grad()
    assert np.asarray(loss.samples) / np.log(2) == pytest.approx(np.asarray(bits.samples), rel=1e-4)  # a token a byte


def test_a_document_counts_the_same_beside_any_others(evaluator: LMEvalEvaluator, llama: Any) -> None:
    every = evaluator.backward(llama, "tiny_generate", "loss", np.arange(24)).samples
    some = evaluator.backward(llama, "tiny_generate", "loss", ROWS).samples
    llama.zero_grad()
    assert np.asarray(every)[ROWS] == pytest.approx(np.asarray(some), rel=1e-5)
    again = evaluator.backward(llama, "tiny_generate", "loss", ROWS).samples
    llama.zero_grad()
    assert np.array_equal(np.asarray(again), np.asarray(some))


@pytest.mark.parametrize(
    ("target", "offered"), [("['somewhere', answer]", True), ("['somewhere', 'else']", False), ("[9, gold]", True)]
)
def test_the_right_choice_is_the_first_that_there_is(
    target: str, offered: bool, llama: Any, tokenizer: Any, tasks_folder: Path, tmp_path: Path
) -> None:
    """A text that is none of the choices, or a number beyond them, names no target."""
    own = {
        "output_type": "multiple_choice",
        "doc_to_choice": "{{choices}}",
        "doc_to_target": f"{{{{{target}}}}}",
        "generation_kwargs": None,
        "filter_list": None,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
    }
    one = _task(tasks_folder, tmp_path, "tiny_named", **own)
    one.prepare(llama, tokenizer)
    assert one.differentiable() == ({"tiny_named": ("loss",)} if offered else {})
    if offered:
        documents = _rows(tasks_folder)
        texts = [(f"{documents[row]['question']} ->", f" {documents[row]['answer']}") for row in ROWS]
        _held_to(llama, tokenizer, one, "tiny_named", texts)
