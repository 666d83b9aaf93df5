"""Gold targets of lm-eval documents: the text that each should bring forth, as the tokens that are to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask

from .model import HarnessModel
from .pieces import Piece, piece


def gold_targets(
    model: HarnessModel, task: Any, documents: Sequence[Sequence[Any]], chat: bool
) -> list[list[Piece]] | None:
    """The gold target of every document behind its prompt; None where a document has none.

    It is the continuation of a `loglikelihood` task, the whole text of a rolling one (in the library's windows), the
    right choice of a `multiple_choice` task, and `doc_to_target` of a `generate_until` task (the first, where there
    are several), joined to its prompt as lm-eval joins few-shot answers. An answer that only the end of the text
    stops ends with that token.

    Args:
        model: the wrapped model. One that encodes and decodes gets no targets.
        task: lm-eval's task; one that is not configured but programmed has no targets that we know of.
        documents: the requests of each document, in lm-eval's order.
        chat: whether the prompts were made by the chat template.
    """
    found = []
    for requests in documents if model.backend == "causal" and isinstance(task, ConfigurableTask) else ():
        gold = _gold(task, requests, chat)
        end = [model.eot_token_id] if _only_ends(model, requests[0]) else []
        pairs = model.token_pairs(gold) if gold is not None and gold.args[-1] else []
        pieces = [piece(context, [*target, *end], model.max_length) for context, target in pairs if target]
        if not pieces:
            return None
        found.append(pieces)
    return found or None


def _gold(task: Any, requests: Sequence[Any], chat: bool) -> Any | None:
    """The request (an Instance) whose likelihood is that of the gold target."""
    if task.OUTPUT_TYPE == "multiple_choice":
        index = _right_choice(task, requests[0].doc)
        return None if index is None else requests[index]
    if task.OUTPUT_TYPE != "generate_until":
        return requests[0]
    target = _answer(task, requests[0].doc)
    if not target:
        return None
    prompt = requests[0].args[0]
    return Instance("loglikelihood", requests[0].doc, (prompt, _delimiter(task, requests[0].doc, chat) + target), 0)


def _right_choice(task: Any, doc: Any) -> int | None:
    choices = task.doc_to_choice(doc)
    # Where the prompts are what differs (Winogrande), the text is the number of the right one.
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    for one in gold if isinstance(gold, list) else [gold]:
        if isinstance(one, str) and one in choices:
            return int(choices.index(one))
        if isinstance(one, int) and 0 <= one < len(choices):
            return one
    return None


def _answer(task: Any, doc: Any) -> str | None:
    if isinstance(task.config.doc_to_target, int):
        return None  # a stand-in, in tasks whose answers are checked by code
    target = task.doc_to_target(doc)
    if task.config.doc_to_choice is not None and isinstance(target, int):
        target = task.doc_to_choice(doc)[target]
    if isinstance(target, list):
        target = target[0] if target else None
    return None if target is None else str(target)


def _delimiter(task: Any, doc: Any, chat: bool) -> str:
    """What stands between a prompt and its answer."""
    prefix = task.resolve_field(doc, task.config.gen_prefix)
    if prefix:
        return "" if prefix[-1].isspace() else " "
    return "" if chat else str(task.config.target_delimiter)


def _only_ends(model: HarnessModel, request: Any) -> bool:
    """Whether an answer is generated, and nothing but the end of the text stops it."""
    if request.request_type != "generate_until":
        return False
    stops = request.args[1].get("until") or []
    end = model.tok_decode([model.eot_token_id], skip_special_tokens=False)
    return set([stops] if isinstance(stops, str) else stops) <= {end}
