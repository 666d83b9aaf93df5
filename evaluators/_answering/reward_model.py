"""A reward model of transformers: how good an answer is, as a number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import InputError, TrialError
from .._quiet import without_bars
from .._scoring import device_of, undisturbed
from .._texts.answers import Answer
from ..statistics.scores import FloatArray


class RewardModel:
    """A sequence classifier with one output, and its own tokenizer.

    It reads prompt and response as a conversation in its tokenizer's chat template, or, where there is none, as a pair
    of texts.

    Args:
        name: folder or hub name.
        batch_size: answers per forward pass; one at a time where the model knows no padding token.
        device: torch.device, where it is to be.

    Raises:
        InputError: it cannot be loaded, has another number of outputs than one, or no weights for its output.
    """

    def __init__(self, name: str, batch_size: int, device: Any) -> None:
        self._name = name
        self._model, self._tokenizer = _loaded(name)
        self._model.to(device)
        padding = self._model.config.pad_token_id
        self._batch_size = batch_size if padding is not None else 1
        self._tokenizer.pad_token_id = padding  # by which the model looks for the end of an answer

    def rewards(self, answers: Sequence[Answer]) -> FloatArray:
        """Rewards, float64, `answers`.

        Raises:
            TrialError: an answer is longer than the model can attend to.
        """
        with undisturbed(self._model):
            tokens = [self._tokens(answer) for answer in answers]
            found = np.empty(len(answers))
            for places in self._batches(tokens):
                found[places] = self._batch([tokens[place] for place in places])
        return found

    def _tokens(self, answer: Answer) -> Any:
        if self._tokenizer.chat_template is None:
            tokens = self._tokenizer(answer.prompt, answer.response, verbose=False)
        else:
            turns = [{"role": "user", "content": answer.prompt}, {"role": "assistant", "content": answer.response}]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False)
            tokens = self._tokenizer(text, add_special_tokens=False, verbose=False)
        length, reach = len(tokens["input_ids"]), getattr(self._model.config, "max_position_embeddings", None)
        if reach is not None and length > reach:
            raise TrialError(
                f"an answer to {answer.prompt[:40]!r} has {length} tokens, but reward model '{self._name}' attends to "
                f"{reach}; lower max_new_tokens, or shorten the prompt"
            )
        return tokens

    def _batches(self, tokens: Sequence[Any]) -> Iterator[list[int]]:
        """Places of answers of about one length."""
        order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]["input_ids"]))
        for start in range(0, len(order), self._batch_size):
            yield order[start : start + self._batch_size]

    def _batch(self, tokens: Sequence[Any]) -> FloatArray:
        batch = self._tokenizer.pad(tokens, len(tokens) > 1, padding_side="right", return_tensors="pt", verbose=False)
        logits = self._model(**batch.to(device_of(self._model))).logits
        return np.asarray(logits[:, 0].double().cpu().numpy())


def content_of(name: str) -> list[str]:
    """What identifies a model: the content of a folder's files, or a hub name and the commit that is used."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        files = sorted(path for path in folder.iterdir() if path.is_file())
        return [part for path in files for part in (path.name, _digest(path))]
    from transformers.utils.hub import cached_file

    try:
        return [name, Path(str(cached_file(name, "config.json"))).parent.name]
    except OSError as error:
        raise _missing(name, error) from error


def _loaded(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    kind, path = AutoModelForSequenceClassification, str(Path(name).expanduser())
    try:
        with without_bars():
            tokenizer = AutoTokenizer.from_pretrained(path)
            model, report = kind.from_pretrained(path, dtype="auto", output_loading_info=True)
    except (OSError, ValueError) as error:
        raise _missing(name, error) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise InputError(f"'{name}' has no weights for {missing}; give a reward model that was trained as one")
    if model.config.num_labels != 1:
        raise InputError(f"'{name}' has {model.config.num_labels} outputs; give a reward model, which has one")
    return model.requires_grad_(False), tokenizer


def _missing(name: str, error: Exception) -> InputError:
    return InputError(f"reward model '{name}' cannot be loaded ({str(error).strip().splitlines()[0]}); give its folder")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
