"""A text file, cut into windows of tokens that do not overlap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .._scoring import undisturbed


def read_text(name: str, file: str) -> str:
    """The text of a UTF-8 file, its line ends as they are, for the evaluator called `name`.

    Raises:
        InputError: the file is missing, empty or not UTF-8.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(f"evaluator '{name}': no file '{file}'; give the path of a text file")
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise InputError(f"evaluator '{name}': '{file}' is not UTF-8 text ({error}); convert it") from error
    if not text.strip():
        raise InputError(f"evaluator '{name}': '{file}' has no text; give a file with some")
    return text


def windows_of(name: str, text: str, model: Any, tokenizer: Any | None, window: int) -> NDArray[np.int64]:
    """Tokens, `windows x window`; those that do not fill a last window are left out.

    Args:
        name: the evaluator's, for errors.
        text: what to tokenise, without special tokens.
        model: the live one, which must attend to a whole window; None where it is not known.
        tokenizer: its own.
        window: tokens per window.

    Raises:
        InputError: no tokenizer, a window longer than the model can attend to, or a text shorter than a window.
    """
    reach = getattr(getattr(model, "config", None), "max_position_embeddings", None)
    if reach is not None and reach < window:
        raise InputError(f"evaluator '{name}': window = {window}, but the model attends to {reach} tokens")
    if tokenizer is None:
        raise InputError(f"evaluator '{name}' needs a tokenizer; put one beside the base model's weights")
    with undisturbed():
        tokens = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    count = len(tokens) // window
    if count == 0:
        raise InputError(
            f"evaluator '{name}': the text has {len(tokens)} tokens, less than one window of {window}; "
            "give a longer text or a smaller window"
        )
    return np.asarray(tokens[: count * window], dtype=np.int64).reshape(count, window)
