"""Perplexity of a text file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mergesearch.errors import InputError
from mergesearch.evaluators.perplexity import PerplexityEvaluator


def test_perplexity_is_that_of_the_models_own_loss(llama: Any, tokenizer: Any, text_file: Path) -> None:
    evaluator = PerplexityEvaluator("text", str(text_file), window=40, batch_size=8)
    evaluator.prepare(llama, tokenizer)
    tokens = tokenizer(text_file.read_text())["input_ids"]
    count = len(tokens) // 40
    assert evaluator.tasks() == {"text": count}
    scores = evaluator.score(llama, {"text": np.arange(count)})["text"]
    windows = torch.tensor(tokens[: count * 40]).reshape(count, 40)
    with torch.no_grad():
        losses = [llama(window[None], labels=window[None]).loss.item() for window in windows]
    assert scores["loss"].value == pytest.approx(np.mean(losses), rel=1e-4)
    np.testing.assert_allclose(np.asarray(scores["loss"].samples), losses, rtol=1e-4)
    assert scores["perplexity"].value == pytest.approx(math.exp(np.mean(losses)), rel=1e-4)
    assert 0 < scores["perplexity"].stderr < scores["perplexity"].value


def test_the_number_of_windows_needs_a_tokenizer_but_no_model(tokenizer: Any, text_file: Path) -> None:
    evaluator = PerplexityEvaluator("text", str(text_file))
    with pytest.raises(InputError, match="call prepare with a tokenizer first"):
        evaluator.tasks()
    with pytest.raises(InputError, match="evaluator 'text' needs a tokenizer"):
        evaluator.prepare(None, None)
    evaluator.prepare(None, tokenizer)
    assert evaluator.tasks()["text"] == len(text_file.read_bytes()) // 512


def test_unusable_files_and_windows_are_refused(tmp_path: Path, llama: Any, tokenizer: Any, text_file: Path) -> None:
    with pytest.raises(InputError, match=r"no file 'nowhere\.txt'"):
        PerplexityEvaluator("text", "nowhere.txt")
    empty = tmp_path / "empty.txt"
    empty.write_text(" \n")
    with pytest.raises(InputError, match=r"empty\.txt' has no text"):
        PerplexityEvaluator("text", str(empty))
    empty.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(InputError, match="is not UTF-8 text"):
        PerplexityEvaluator("text", str(empty))
    with pytest.raises(InputError, match="window = 1; give 2 or more"):
        PerplexityEvaluator("text", str(text_file), window=1)
    with pytest.raises(InputError, match=r"metrics = \[\]; give one or more of perplexity, loss, entropy"):
        PerplexityEvaluator("text", str(text_file), metrics=[])
    with pytest.raises(InputError, match="window = 300, but the model attends to 256 tokens"):
        PerplexityEvaluator("text", str(text_file), window=300).prepare(llama, tokenizer)
    empty.write_text("short")
    with pytest.raises(InputError, match="the text has 5 tokens, less than one window of 9"):
        PerplexityEvaluator("text", str(empty), window=9).prepare(None, tokenizer)
