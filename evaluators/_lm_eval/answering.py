"""Requests answered by the live model: what is asked of which documents is planned once, and run for each candidate."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ...errors import TrialError
from .abilities import abilities_of
from .generations import Generations
from .library import Library
from .likelihoods import Likelihoods
from .model import HarnessModel
from .stages import IntArray

_PLANS = 64  # that are kept; racing asks for a few subsets over and over
Run = Callable[[HarnessModel], Sequence[Sequence[Any]]]  # the responses to each of some requests


class Way(Protocol):
    """One way to answer requests (Instances of lm-eval)."""

    def take(self, request: Any) -> bool:
        """Prepare for a request; False where it has to go another way."""

    def plan(self, requests: Sequence[Any]) -> Run:
        """How to get the responses to requests that were taken."""


class Answering:
    """Answers the requests of documents: each in the first way that takes it, and `Library` takes them all."""

    def __init__(self, model: HarnessModel, requests: Mapping[str, Sequence[Sequence[Any]]]) -> None:
        """Turn all requests into tokens, and try out what the model allows.

        Args:
            model: with which the requests were built; others that answer later are of its kind.
            requests: task -> the requests of each document, in lm-eval's order.

        Raises:
            InputError: a continuation that cannot be scored.
        """
        own: tuple[Way, ...] = ()
        if model.backend == "causal":
            abilities = abilities_of(model.model)
            own = Likelihoods(model, abilities), Generations(model, abilities)
        self._all, self._ways = requests, (*own, Library())
        self._plans = OrderedDict[Any, list[tuple[list[Any], Run]]]()
        self._taken: dict[int, Way] = {
            id(request): next(way for way in self._ways if way.take(request))
            for task in requests.values()
            for document in task
            for request in document
        }

    def answer(self, model: HarnessModel, samples: Mapping[str, IntArray]) -> dict[str, list[Sequence[Any]]]:
        """Leave the responses in the requests of the chosen documents, and return those, by task.

        Raises:
            TrialError: a log-likelihood is not a number, from which an accuracy could be computed, and would be wrong.
        """
        chosen = {task: [self._all[task][row] for row in rows] for task, rows in samples.items()}
        key = tuple((task, tuple(map(int, rows))) for task, rows in samples.items())
        if key not in self._plans:
            self._plans[key] = self._plan([one for task in chosen.values() for some in task for one in some])
        self._plans.move_to_end(key)
        if len(self._plans) > _PLANS:
            self._plans.popitem(last=False)
        for requests, run in self._plans[key]:
            for request, responses in zip(requests, run(model), strict=True):
                _require_numbers(request, responses)
                request.resps, request.filtered_resps = list(responses), {}
        return chosen

    def _plan(self, requests: Sequence[Any]) -> list[tuple[list[Any], Run]]:
        shares = [(way, [one for one in requests if self._taken[id(one)] is way]) for way in self._ways]
        return [(share, way.plan(share)) for way, share in shares if share]


def _require_numbers(request: Any, responses: Sequence[Any]) -> None:
    for response in responses:
        likelihood = response[0] if isinstance(response, tuple) else response
        if isinstance(likelihood, float) and math.isnan(likelihood):
            raise TrialError(f"task '{request.task_name}': a log-likelihood is NaN; the weights are not usable")
