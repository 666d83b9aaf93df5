"""Gold targets of lm-eval documents, as the tokens that a model is to predict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from ._lm_eval_model import HarnessModel
from ._lm_eval_tasks import LoadedTask


class Piece(NamedTuple):
    """Tokens that are shown to the model at once; the last `scored` of them belong to the target."""

    tokens: list[int]
    scored: int


def target_pieces(
    model: HarnessModel, loaded: LoadedTask, documents: Sequence[Sequence[Any]], chat: bool
) -> list[list[Piece]] | None:
    """The gold target of every document behind its prompt; None where some document of the task has none.

    The target is the continuation of a `loglikelihood` task, the whole text of a rolling one (in the library's
    windows), the right choice of a `multiple_choice` task, and `doc_to_target` of a `generate_until` task (the first,
    where there are several), joined to the prompt as in a few-shot example. A generated answer that nothing but the
    end of the text stops ends with that token.

    Args:
        model: the wrapped model, whose tokenizer and length limit are those of the scores.
        loaded: the task.
        documents: the requests of each document, in lm-eval's order.
        chat: whether the prompts were made by the chat template.
    """
    if model.backend != "causal":
        return None
    found = []
    for requests in documents:
        pairs = _generated(model, loaded.task, requests[0], chat) if _generates(loaded) else _listed(model, requests)
        pieces = [_piece(context, target, model.max_length) for context, target in pairs if target]
        if not pieces:
            return None
        found.append(pieces)
    return found


def _generates(loaded: LoadedTask) -> bool:
    return bool(loaded.task.OUTPUT_TYPE == "generate_until")


def _piece(context: list[int], target: list[int], limit: int) -> Piece:
    tokens = [*context, *target][-(limit + 1) :]  # the last token is only predicted
    return Piece(tokens, min(len(target), len(tokens) - 1))
