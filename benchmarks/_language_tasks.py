"""lm-eval tasks made on the spot, for the zoo's Llama and for one that knows words alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

_MEAN = {"aggregation": "mean", "higher_is_better": True}


def write_choices(questions: Path, folder: Path, count: int) -> list[str]:
    """Tasks over the questions of a zoo's task file: which of four answers, with two examples, and which letter.

    Args:
        questions: JSON lines with `question` and `answer`.
        folder: to write to.
        count: documents.
    """
    lines = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()[: count + 3]]
    rows = [
        {"question": line["question"], "choices": [one["answer"] for one in lines[place : place + 4]], "gold": 0}
        for place, line in enumerate(lines[:count])
    ]
    answers = {"doc_to_choice": "{{choices}}", "num_fewshot": 2, "fewshot_split": "test", "fewshot_delimiter": "\n"}
    letters = {"doc_to_choice": "{{['a', 'b', 'c', 'd']}}"}
    _write(folder, "answers", rows, answers)
    _write(folder, "letters", rows, letters)
    return ["answers", "letters"]


def write_words(folder: Path, vocabulary: int, count: int) -> list[str]:
    """A task with five examples in each prompt: questions of 20 words, four answers of 1 to 8."""
    drawn = np.random.default_rng(0)

    def words(length: int) -> str:
        return " ".join(f"w{number}" for number in drawn.integers(10, vocabulary, length))

    rows = [
        {"question": words(20), "choices": [words(int(drawn.integers(1, 9))) for _ in range(4)], "gold": 0}
        for _ in range(count + 5)
    ]
    own = {"doc_to_choice": "{{choices}}", "num_fewshot": 5, "fewshot_split": "test", "target_delimiter": " "}
    _write(folder, "words", rows, own)
    return ["words"]


def word_tokenizer(vocabulary: int, length: int) -> Any:
    """A tokenizer of the words `w0`, `w1` and so on, for a model that reads `length` tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "<s>", "</s>", "<unk>"]
    numbers = {word: number for number, word in enumerate([*special, *(f"w{n}" for n in range(4, vocabulary))])}
    tokenizer = Tokenizer(models.WordLevel(vocab=numbers, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = dict(zip(("pad_token", "bos_token", "eos_token", "unk_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=length, **names)


def _write(folder: Path, name: str, rows: list[dict[str, Any]], own: dict[str, Any]) -> None:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    content = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(folder / "cache")},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "question",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "metric_list": [{"metric": "acc", **_MEAN}, {"metric": "acc_norm", **_MEAN}],
        **own,
    }
    (folder / f"{name}.yaml").write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
