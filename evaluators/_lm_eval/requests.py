"""The requests of a task, built once, with what it says of their documents."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from .model import HarnessModel
from .tasks import LoadedTask

_SAYINGS = ("doc_to_text", "doc_to_target", "doc_to_choice")
_ANSWERS = 1 << 16  # whose results are remembered, of each task


def build_requests(loaded: LoadedTask, model: HarnessModel, chat: bool) -> list[list[Any]]:
    """The requests (Instances) of each document, in lm-eval's order.

    From now on the task renders the text, target and choices of each of these documents only once, which takes longer
    than to score its answers, and says only once what an answered text is worth: candidates often give the same.

    Args:
        loaded: the task.
        model: whose tokenizer makes prompts of chats.
        chat: ask through the tokenizer's chat template, few-shot examples as turns.
    """
    task = loaded.task
    task.build_all_requests(
        limit=loaded.documents,
        apply_chat_template=chat,
        fewshot_as_multiturn=True,
        chat_template=model.apply_chat_template if chat else None,
        tokenizer_name=model.tokenizer_name if chat else "",
    )
    documents: list[list[Any]] = [[] for _ in range(loaded.documents)]
    for request in task.instances:
        documents[request.doc_id].append(request)
    for name in _SAYINGS:
        if hasattr(task, name) and name not in vars(task):  # else it was done before
            setattr(task, name, _remembered(getattr(task, name)))
    if "process_results" not in vars(task):
        task.process_results = _remembered_results(task.process_results)
    return [sorted(requests, key=lambda one: one.idx) for requests in documents]


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[int, tuple[Any, Any]] = {}  # with the document, so that its number is not given to another one

    def saying(document: Any, *arguments: Any, **options: Any) -> Any:
        if arguments or options:
            return function(document, *arguments, **options)
        if id(document) not in known:
            known[id(document)] = document, function(document)
        return copy.copy(known[id(document)][1])

    return saying


def _remembered_results(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, tuple[Any, Any]] = {}  # with the document, as above; the oldest first

    def results(document: Any, answers: Sequence[Any]) -> Any:
        if not all(isinstance(answer, str) for answer in answers):
            return function(document, answers)
        key = id(document), *answers
        if key not in known:
            if len(known) >= _ANSWERS:
                del known[next(iter(known))]
            known[key] = document, function(document, answers)
        return copy.copy(known[key][1])

    return results
