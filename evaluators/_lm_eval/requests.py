"""The requests of a task, built once, with what it says of their documents."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from .model import HarnessModel
from .tasks import LoadedTask

_SAYINGS = ("doc_to_text", "doc_to_target", "doc_to_choice")


def build_requests(loaded: LoadedTask, model: HarnessModel, chat: bool) -> list[list[Any]]:
    """The requests (Instances) of each document, in lm-eval's order.

    From now on the task renders the text, target and choices of each of these documents only once, which takes longer
    than to score its answers.

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
