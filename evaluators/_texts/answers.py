"""Prompts and responses: the JSON lines that hold them, and the tokens that a model sees of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from .json_lines import read_json_lines, read_utf8


@dataclass(frozen=True)
class Answer:
    """What a model said.

    Attributes:
        prompt: what it was asked.
        response: what followed, without special tokens.
        ended: whether it ended there by itself, rather than being cut off.
    """

    prompt: str
    response: str
    ended: bool = True


@dataclass(frozen=True)
class Tokens:
    """One answer as a model sees it.

    Attributes:
        ids: of prompt, response and, where it ended, the end-of-text token.
        start: index of the first token of the response, at least 1.
    """

    ids: Sequence[int]
    start: int


def read_answers(path: Path) -> list[Answer]:
    """Read JSON lines of `{"prompt": …, "response": …}`, and `"ended": false` where a response was cut off.

    Raises:
        InputError: no such file, a line is not of that form (names it), or there is none.
    """
    answers = [
        Answer(
            _text(path, number, line, "prompt"), _text(path, number, line, "response"), bool(line.get("ended", True))
        )
        for number, line in read_json_lines(path)
    ]
    if not answers:
        raise InputError(f"'{path}' has no answers; give a file with some")
    return answers


def write_answers(path: Path, answers: Sequence[Answer]) -> None:
    """Write what `read_answers` reads."""
    lines = [json.dumps(asdict(answer), ensure_ascii=False) for answer in answers]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_prompts(path: Path) -> list[str]:
    """Read prompts: the `prompt` of JSON lines (a file that ends in .jsonl), or else the lines of a text.

    Raises:
        InputError: no such file, a line without a prompt (names it), or no prompts.
    """
    if path.suffix == ".jsonl":
        prompts = [_text(path, number, line, "prompt") for number, line in read_json_lines(path)]
    else:
        prompts = [line for line in read_utf8(path).splitlines() if line.strip()]
    if not prompts:
        raise InputError(f"'{path}' has no prompts; give a file with some")
    return prompts


def opened(tokenizer: Any, prompt: str, chat: bool) -> str:
    """The text that a model continues: the prompt, in the tokenizer's chat template where that is wanted."""
    if not chat:
        return prompt
    text: str = tokenizer.apply_chat_template(
        [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
    )
    return text


def tokens_of(tokenizer: Any, answer: Answer, chat: bool) -> Tokens:
    """Tokenise an answer; special tokens of the template are its own.

    Prompt and response are one text, and the response is what follows the prompt's own tokens: at a boundary that
    falls within a token, that token counts to the response.
    """
    prompt = opened(tokenizer, answer.prompt, chat)
    asked, whole = (
        list(tokenizer(text, add_special_tokens=not chat, verbose=False)["input_ids"])
        for text in (prompt, prompt + answer.response)
    )
    if tokenizer.eos_token_id is not None:
        whole = whole[:-1] if whole[-1:] == [tokenizer.eos_token_id] else whole
        whole += [tokenizer.eos_token_id] if answer.ended else []
    same = next((place for place, pair in enumerate(zip(asked, whole, strict=False)) if pair[0] != pair[1]), len(asked))
    return Tokens(whole, max(1, min(same, len(whole))))


def _text(path: Path, number: int, line: dict[str, Any], key: str) -> str:
    if not isinstance(line.get(key), str):
        raise InputError(f"line {number} of '{path}' has no text under '{key}'; its keys are {', '.join(line)}")
    return str(line[key])
