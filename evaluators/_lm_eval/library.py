"""The library's own way to answer requests: for models that encode and decode, and answers drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from .model import HarnessModel


class Library:
    """Asks through lm-eval's own model, of one kind of request after another.

    Its batches hand out the random numbers: so drawn answers are those of its own command, when all documents are
    asked for, and otherwise are drawn anew.
    """

    def take(self, request: Any) -> bool:
        """Takes every request."""
        return True

    def plan(self, requests: Sequence[Any]) -> partial[list[list[Any]]]:
        """Nothing is planned."""
        return partial(_responses, requests=requests)


def _responses(model: HarnessModel, requests: Sequence[Any]) -> list[list[Any]]:
    found: list[list[Any]] = [[] for _ in requests]
    for kind in dict.fromkeys(request.request_type for request in requests):
        places = [place for place, one in enumerate(requests) if one.request_type == kind for _ in range(one.repeats)]
        responses = getattr(model, kind)([requests[place] for place in places], disable_tqdm=True)
        for place, response in zip(places, responses, strict=True):
            found[place].append(response)
    return found
