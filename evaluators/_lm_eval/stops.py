"""Early stop of a generation: a row is done as soon as nothing that follows can change its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import StoppingCriteria

_LOOK_BACK = 2  # tokens more than a stop text has by itself, since it may begin or end within one


class StopTexts(StoppingCriteria):  # type: ignore[misc, unused-ignore]  # the library is not typed
    """Row by row, whether one of the texts has come in what was generated."""

    def __init__(self, tokenizer: Any, texts: Sequence[str], start: int) -> None:
        """Remember the texts, and that answers begin at column `start`."""
        self._tokenizer, self._texts, self._start = tokenizer, texts, start
        longest = max(len(tokenizer.encode(text, add_special_tokens=False)) for text in texts)
        self._window = longest + _LOOK_BACK
        self._done: torch.Tensor | None = None
        self._near: set[int] = set()

    def __call__(self, input_ids: torch.Tensor, scores: Any, **kwargs: Any) -> torch.Tensor:
        """Which rows are done, bool, `rows`."""
        if self._done is None:
            self._done = torch.zeros(len(input_ids), dtype=torch.bool)
        answers = input_ids[:, self._start :].cpu()
        rows = torch.nonzero(~self._done).flatten().tolist()
        ends = self._decoded(answers[rows, -self._window :])
        # The whole answer is looked at only once its end has given reason to.
        self._near |= {row for row, end in zip(rows, ends, strict=True) if any(text in end for text in self._texts)}
        for row in self._near.intersection(rows):
            self._done[row] = settled(self._decoded(answers[row : row + 1])[0], self._texts)
        return self._done.to(input_ids.device)

    def keep(self, rows: Sequence[int]) -> None:
        """From now on, be asked of these rows alone."""
        if self._done is not None:
            self._done = self._done[list(rows)]
            self._near = {new for new, old in enumerate(rows) if old in self._near}

    def _decoded(self, rows: torch.Tensor) -> list[str]:
        texts: list[str] = self._tokenizer.batch_decode(rows, skip_special_tokens=True)
        return texts


def settled(answer: str, stops: Sequence[str]) -> bool:
    """Whether a stop text has come, and no other one is under way that would begin before what follows.

    lm-eval cuts an answer at each stop text after another, so that one of them may lose its end to the next.
    """
    missing = [stop for stop in stops if stop not in answer]
    under_way = any(answer.endswith(stop[:length]) for stop in missing for length in range(1, len(stop)))
    return len(missing) < len(stops) and not under_way
